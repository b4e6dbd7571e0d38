// @ts-check
// How the tiles lie: in squares or in rows of one height, in one of four sizes, which this browser
// remembers. Part of one module with label_grid.js.

const SIZES = [64, 104, 160, 256]; // pixels of a row's height, or of a square's side

// `step` is what the buttons do, as their keys; `changed` is called when the tiles lie otherwise.
function createLayout(root, pictures, step, changed, isWall) {
  const sizes = isWall ? "wall-size" : "size"; // many are looked at as small pictures
  let [size, isSquare] = [recall(sizes, isWall ? 0 : 1), recall("squares", false)];
  let frame;
  /** @type {HTMLElement[]} */
  let tiles = [];
  /** @type {HTMLElement[][]} */
  let rows = []; // the tiles as they lie on the screen

  const slider = el("input", {
    type: "range", min: 0, max: SIZES.length - 1, value: size, ariaLabel: "Size of the pictures",
    tabIndex: -1, oninput: () => resize(Number(slider.value) - size), onpointerup: () => changed(),
  });
  const shape = command("", "", () => {
    isSquare = !isSquare;
    remember("squares", isSquare);
    fit();
    group();
    changed();
  }, { tabIndex: 0 });
  const node = el("div", { className: "sizes" },
    command("-", "", () => step(-1), { ariaLabel: "Smaller pictures", title: "Smaller pictures" }),
    slider,
    command("+", "", () => step(1), { ariaLabel: "Larger pictures", title: "Larger pictures" }),
    shape);

  function resize(step) {
    size = Math.max(0, Math.min(size + step, SIZES.length - 1));
    remember(sizes, size);
    fit();
    group();
    changed();
  }

  function place(next, of) {
    [tiles, frame, rows] = [next, of, []];
    pictures.replaceChildren(el("div", { className: "row", role: "row" }, ...tiles));
    root.classList.toggle("long", frame.classes.some((name) => name.length > 14));
    root.classList.toggle("guessed", frame.guesses.some((guess) => guess !== null));
    fit();
    group();
  }

  // Small pictures are scaled by whole numbers, so that each of their pixels is a square.
  function fit() {
    const largest = Math.max(...frame.pictures.map(([, width, height]) => Math.max(width, height)));
    const side = SIZES[size];
    const high = largest > CRISP ? side : Math.max(1, Math.round(side / largest)) * largest;
    slider.value = String(size);
    write(shape.lastChild, isSquare ? "▦" : "▤");
    shape.ariaLabel = isSquare ? "Squares" : "Rows";
    shape.title = isSquare ? "Squares: show rows of one height" : "Rows of one height: show squares";
    root.style.setProperty("--tile", `${high}px`);
    frame.pictures.forEach(([, width, height], i) => {
      const isSmall = Math.max(width, height) <= CRISP;
      const by = isSmall ? Math.max(1, Math.floor(high / (isSquare ? Math.max(width, height) : height)))
        : high / height;
      tiles[i].style.setProperty("--wide", `${isSquare ? high : Math.round(width * by)}px`);
      if (isSmall) tiles[i].style.setProperty("--exact", `${width * by}px`);
    });
  }

  // Rows as they are seen, for the keys and for screen readers.
  function group() {
    /** @type {HTMLElement[][]} */
    const found = [];
    let top;
    for (const tile of tiles) {
      if (tile.offsetTop !== top) found.push([]);
      top = tile.offsetTop;
      found[found.length - 1].push(tile);
    }
    if (found.map((row) => row.length).join() === rows.map((row) => row.length).join()) return;
    rows = found;
    const focused = pictures.getRootNode().activeElement;
    pictures.ariaRowCount = String(rows.length);
    pictures.replaceChildren(...rows.map((row, i) =>
      el("div", { className: "row", role: "row", ariaRowIndex: String(i + 1) }, ...row)));
    for (const row of rows) row.forEach((tile, j) => { tile.ariaColIndex = String(j + 1); });
    if (tiles.includes(focused)) focused.focus({ preventScroll: true }); // it lost it as it moved
  }

  // The place of the tile one row up (-1) or down (1), the one most nearly above or below.
  function inRow(place, direction) {
    const target = rows[rows.findIndex((row) => row.includes(tiles[place])) + direction];
    if (!target) return place;
    const middle = (tile) => tile.offsetLeft + tile.offsetWidth / 2;
    const off = (tile) => Math.abs(middle(tile) - middle(tiles[place]));
    return tiles.indexOf(target.reduce((best, tile) => (off(tile) < off(best) ? tile : best)));
  }

  const watch = new ResizeObserver(group);
  watch.observe(pictures);
  return { node, place, resize, inRow, stop: () => watch.disconnect() };
}
