// The labelling grid in the browser. Streamlit calls the default export once per mount and again
// whenever `data` changes; in between, nobody but this file touches the DOM below the root.
// What the person does shows at once, in the handler of the very key, and is sent right after.

const SKIP = -1;
const OPEN = -2; // as an event it says: cleared
const PAGE = 10; // as many classes as there are digits
const TYPING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const CONTROL = "a, button, summary, input, [role]";
const HELP = [
  ["0 – 9", "label with that key's class"], ["[  ]", "other classes on the keys"],
  ["Space or S", "skip"], ["Backspace", "clear the label"], ["U or Ctrl+Z", "undo"],
  ["L or click", "class list"], ["Arrows, Home, End", "move"],
  ["Z", "enlarge the current image"], ["?", "show or hide these keys"],
];

const grids = new WeakMap(); // shadow root -> grid
let active = null; // the newest grid has the keyboard: a stale one may linger until the run ends

export default function ({ data, parentElement, setStateValue }) {
  let grid = grids.get(parentElement);
  if (grid?.batch !== data.batch) {
    grid?.destroy();
    grid = createGrid(parentElement, data.batch);
    grids.set(parentElement, grid);
  }
  grid.update(data, setStateValue);
  const call = ++grid.calls;
  return () => {
    // An overtaken call is cleaned up as well, and must not take the living grid with it.
    if (call !== grid.calls) return;
    grid.destroy();
    grids.delete(parentElement);
  };
}

function createGrid(parent, batch) {
  // crypto.randomUUID() exists on https and localhost only.
  const random = crypto.getRandomValues(new Uint32Array(4));
  const mount = Array.from(random, (part) => part.toString(36)).join("");
  const events = []; // all that was done in this mount; append-only, for its index names an event
  const own = new Map(); // image -> label given here, which a later `data` must not overwrite
  const history = []; // [tile, label before], for undo
  const listening = new AbortController();
  let data, labels, tiles, send, drawn;
  let current = 0;
  let page = 0;
  let since = performance.now(); // when the current tile was reached, or the last event

  const progress = el("span", { className: "progress", role: "status" });
  const legend = el("div", { className: "legend", role: "group", ariaLabel: "Classes" });
  const help = el("dl", { className: "help", hidden: true }, ...HELP.map(([key, text]) =>
    el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, text))));
  const row = el("div", { className: "row", role: "row" });
  const head = el("div", { className: "head" },
    el("div", { className: "bar" }, progress, command("S", "Skip", () => give(SKIP)),
      command("U", "Undo", undo), command("?", "Keys", toggleHelp)),
    legend, help);
  const root = el("div", { className: "root", "data-testid": "label-grid" }, head,
    el("div", { role: "grid", ariaLabel: "Images to label" }, row));
  const list = createClassList(root, give, focusTile);

  // A button that leaves the focus where it is, on a tile; each has a key of its own.
  function command(key, text, run, props = {}) {
    return el("button", {
      type: "button", tabIndex: -1, onclick: run, onmousedown: (event) => event.preventDefault(),
      ...props,
    }, el("kbd", {}, String(key)), el("span", {}, text));
  }

  // ---- what is drawn ---------------------------------------------------------------------------

  function update(next, setStateValue) {
    [data, send] = [next, setStateValue];
    labels = data.images.map((image, i) => own.get(image) ?? data.labels[i]);
    root.ariaDisabled = String(data.disabled);
    const shape = JSON.stringify({ ...data, labels: null, disabled: null });
    const first = drawn === undefined;
    if (shape !== drawn) build();
    drawn = shape;
    if (first) current = Math.max(0, labels.indexOf(OPEN));
    tiles.forEach((_, i) => paint(i));
    paintHead();
    if (first && !busyElsewhere(document.activeElement)) tiles[current].focus({ preventScroll: true });
  }

  function build() {
    const { size, images, truths } = data;
    const wanted = 96; // twenty tiles fit on one screen
    const factor = Math.max(1, Math.round(wanted / size)); // whole pixels stay whole
    root.style.setProperty("--tile", `${size > 96 ? Math.min(size, 160) : size * factor}px`);
    root.classList.toggle("pixelated", size <= 96);
    root.classList.toggle("long", data.classes.some((name) => name.length > 14));
    list.close();
    tiles = images.map((image, i) => el("div", {
      className: "tile", role: "gridcell", ariaHasPopup: "listbox", ariaExpanded: "false",
      "data-testid": "tile", "data-image": image, onmouseenter: () => aim(i),
      onclick: () => { select(i); openList(); },
    }, el("canvas", { width: size, height: size }), el("div", { className: "name" }),
    ...(truths[i] === null ? [] : [
      el("div", { className: "truth" }, `Truth: ${data.classes[truths[i]]}`)])));
    row.replaceChildren(...tiles);
    current = Math.min(current, tiles.length - 1);
    const sheet = new Image();
    const canvases = tiles.map((tile) => tile.firstChild.getContext("2d"));
    sheet.onload = () => canvases.forEach((canvas, i) => {
      const columns = sheet.width / size;
      const [x, y] = [(i % columns) * size, Math.floor(i / columns) * size];
      canvas.drawImage(sheet, x, y, size, size, 0, 0, size, size);
    });
    sheet.src = data.sprite;
  }

  function paint(i) {
    const [tile, code] = [tiles[i], labels[i]];
    const text = code === SKIP ? "Skipped" : data.classes[code] ?? "";
    tile.dataset.label = code === SKIP ? "" : text;
    if (code === SKIP) tile.dataset.skipped = "true";
    else delete tile.dataset.skipped;
    const name = tile.querySelector(".name");
    name.textContent = name.title = text;
    tile.classList.toggle("current", i === current);
    tile.tabIndex = i === current ? 0 : -1;
    tile.ariaLabel = `Image ${i + 1} of ${tiles.length}, ${text || "not labelled yet"}`;
  }

  function paintHead() {
    const total = labels.length;
    const done = labels.filter((code) => code >= 0).length;
    const skipped = labels.filter((code) => code === SKIP).length;
    const rest = done === total ? "All labelled" : done + skipped === total ? "None left open" : "";
    progress.textContent = `${done} of ${total} labelled`
      + (skipped ? `, ${skipped} skipped` : "") + (rest && `. ${rest}`);
    progress.classList.toggle("done", rest !== "");
    const [from, pages] = [page * PAGE, Math.ceil(data.classes.length / PAGE)];
    const keys = data.classes.slice(from, from + PAGE).map((name, digit) =>
      command(digit, name, () => give(from + digit),
        { title: name, ariaPressed: String(labels[current] === from + digit) }));
    const pager = pages < 2 ? [] : [el("span", { className: "pager" },
      command("[", "", () => turn(-1), { ariaLabel: "Previous classes" }),
      `${page + 1} of ${pages}`,
      command("]", "", () => turn(1), { ariaLabel: "Next classes" }))];
    legend.replaceChildren(...keys, ...pager);
  }

  // Where an enlarged picture grows from: away from the edges, so that nothing is cut off.
  function aim(i) {
    const middle = tiles[i].offsetLeft + tiles[i].offsetWidth / 2;
    tiles[i].style.setProperty("--from", `${(100 * middle) / row.clientWidth}%`);
  }

  // ---- what the person does --------------------------------------------------------------------

  function select(i) {
    const before = current;
    if (i !== before) since = performance.now();
    current = i;
    paint(before);
    paint(i);
    paintHead();
    aim(i);
    focusTile();
  }

  function focusTile() {
    root.style.setProperty("--head", `${head.offsetHeight}px`); // stays in sight, above the tiles
    tiles[current].focus({ preventScroll: true });
    tiles[current].scrollIntoView({ block: "nearest" });
  }

  // Label, skip or clear the current tile; then on to the next open one, from the top again.
  function give(code) {
    if (data.disabled) return;
    list.close();
    if (code !== labels[current]) {
      history.push([current, labels[current]]);
      record(code);
    }
    const order = labels.map((_, i) => (current + 1 + i) % labels.length);
    select(code === OPEN ? current : order.find((i) => labels[i] === OPEN) ?? current);
  }

  function undo() {
    if (data.disabled || !history.length) return;
    const [i, before] = history.pop();
    select(i);
    record(before);
    paintHead();
  }

  function record(code) {
    const [image, now] = [data.images[current], performance.now()];
    own.set(image, code);
    labels[current] = code;
    paint(current);
    events.push([image, code, Math.round(now - since)]);
    since = now;
    send("events", { mount, events });
  }

  function move(step) {
    if (tiles[current + step]) select(current + step);
  }

  function moveRow(direction) {
    const columns = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
    const [last, target] = [tiles.length - 1, current + direction * columns];
    // From above a short last row, down leads to its end.
    const short = Math.floor(last / columns) > Math.floor(current / columns);
    if (tiles[target] || (target > last && short)) select(Math.min(target, last));
  }

  function turn(step) {
    const pages = Math.ceil(data.classes.length / PAGE);
    page = (page + step + pages) % pages;
    paintHead();
  }

  function openList() {
    if (!data.disabled) list.open(tiles[current], data.classes, labels[current], page * PAGE);
  }

  function toggleHelp() {
    help.hidden = !help.hidden;
  }

  // ---- the keyboard ----------------------------------------------------------------------------

  const MOVES = {
    ArrowLeft: () => move(-1), ArrowRight: () => move(1),
    ArrowUp: () => moveRow(-1), ArrowDown: () => moveRow(1),
    Home: () => select(0), End: () => select(tiles.length - 1),
  };
  const EDITS = { " ": () => give(SKIP), Backspace: () => give(OPEN), Delete: () => give(OPEN) };
  const COMMANDS = {
    s: () => give(SKIP), u: undo, l: openList, z: () => root.classList.toggle("zoom"),
    "?": toggleHelp, "[": () => turn(-1), "]": () => turn(1),
  };

  function actionFor(event, onControl) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // Many keyboards type brackets with AltGr, which reads as Ctrl+Alt.
    if (event.getModifierState("AltGraph")) return "[]".includes(key) ? COMMANDS[key] : undefined;
    if (event.altKey) return undefined;
    if (event.ctrlKey || event.metaKey) return key === "z" && !event.shiftKey ? undo : undefined;
    // The digit row of a French keyboard types "&é" and so on unless shifted.
    const digit = /^\d$/.test(key) ? key
      : !event.shiftKey && !COMMANDS[key] && /^Digit(\d)$/.exec(event.code)?.[1];
    const code = page * PAGE + Number(digit);
    if (digit) return () => code < data.classes.length && give(code);
    return COMMANDS[key] ?? (onControl ? undefined : MOVES[key] ?? EDITS[key]);
  }

  // The person is typing into something else, or has a dialog open.
  function busyElsewhere(node) {
    return node?.closest(TYPING) || document.querySelector('[role="dialog"]');
  }

  function onKey(event) {
    const target = event.composedPath()[0];
    if (active !== grid || event.isComposing || list.takes(event)) return;
    const inside = root.contains(target);
    if (!inside && busyElsewhere(target)) return;
    const action = actionFor(event, !inside && target.matches(CONTROL));
    if (!action) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Streamlit's own shortcuts listen on the document too
    // A key held down moves on, but does not label the rest of the batch.
    if (!event.repeat || Object.values(MOVES).includes(action)) action();
  }

  const grid = {
    batch, update, calls: 0,
    destroy() {
      list.close();
      listening.abort();
      root.remove();
      if (active === grid) active = null;
    },
  };
  active = grid;
  parent.append(root);
  document.addEventListener("keydown", onKey, { capture: true, signal: listening.signal });
  return grid;
}
