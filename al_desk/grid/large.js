// @ts-check
// The current picture, large: beside the others, or alone, one after the other. Part of one module
// with label_grid.js.

const PAN = { // as parts of what is seen, by the key that shows more of one side
  ArrowLeft: [0.2, 0], ArrowRight: [-0.2, 0], ArrowUp: [0, 0.2], ArrowDown: [0, -0.2],
};

// `grid` gives frame(), tiles(), current() and next(), opens the class list, sets the focus,
// clears the selection, and brightens all pictures.
function createLarge(root, grid) {
  const stage = createStage((scale) => write(size, `${Math.round(100 * scale)}%`));
  const size = el("span", { className: "size" });
  const file = el("span", { className: "file", role: "status" });
  const guess = el("span", { className: "guess" });
  const selector = createSelector();
  selector.onclick = grid.open;
  const end = el("p", { className: "end" });
  const caption = el("div", { className: "caption" }, selector, guess, file, size,
    command("b", "Light", () => grid.brighten(), { title: "Brightness and contrast" }),
    command("f", "One at a time", () => show(false, !isAlone)));
  const node = el("div", {
    className: "large", "data-testid": "large", role: "group", tabIndex: -1,
  }, end, stage.node, caption);
  let isBeside = false;
  let isAlone = recall("alone", false);
  let drawn; // the picture that is shown

  const isOpen = () => isBeside || isAlone;

  function paint() {
    root.classList.toggle("zoom", isOpen());
    root.classList.toggle("alone", isAlone);
    const [frame, i] = [grid.frame(), grid.current()];
    const tile = isOpen() ? grid.tiles()[i] : undefined;
    const wanted = tile && JSON.stringify([frame.address, frame.pictures[i]]);
    stage.node.hidden = caption.hidden = !tile;
    write(end, tile ? "" : frame.review ? "That was the last one."
      : "Everything here is answered: Enter hands the batch in.");
    if (wanted !== drawn) {
      drawn = wanted;
      if (tile) stage.show(frame.address, frame.pictures[i], fetchNext);
      else stage.clear();
    }
    node.ariaLabel = tile ? tile.ariaLabel : end.textContent;
    node.tabIndex = isAlone ? 0 : -1;
    if (!tile) return;
    const [, width, height] = frame.pictures[i];
    paintSelector(selector, tile.querySelector(".name").title);
    write(guess, tile.querySelector(".guess").textContent);
    write(file, [`${i + 1} of ${frame.images.length}`, frame.names[i], `${width} × ${height}`]
      .filter(Boolean).join(" · "));
  }

  // What is looked at next is there by then.
  function fetchNext() {
    const [{ address, pictures }, next] = [grid.frame(), grid.next()];
    if (next >= 0) createPicture(address, pictures[next], "original");
  }

  function show(beside, alone) {
    [isBeside, isAlone] = [beside, alone];
    remember("alone", isAlone);
    if (isAlone) grid.unselect(); // what is not seen is not labelled
    paint();
    grid.focus();
    if (isOpen()) node.scrollIntoView({ block: "start" }); // below the head
  }

  return {
    node, paint, stop: stage.stop, step: stage.step,
    panTowards: (key) => isOpen() && PAN[key] !== undefined && stage.pan(...PAN[key]),
    toggle: () => show(!isOpen(), false),
    toggleAlone: () => show(false, !isAlone),
    close: () => isOpen() && (show(false, false), true),
    get isOpen() { return isOpen(); },
    get isAlone() { return isAlone; },
    get anchor() { return selector; },
  };
}
