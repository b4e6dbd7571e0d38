// @ts-check
// The labelling grid in the browser. Streamlit calls the default export once per mount and again
// whenever `data` changes; in between, only this file touches the DOM below the root. What the person
// does shows at once, in the event handler itself, and is sent right after.
//
// `data` is a frame: what does not change while a batch is labelled. What does change (saved labels,
// how many events are saved) comes as a status, through grid_status.js.

const grids = new WeakMap(); // shadow root -> grid
/** @type {object?} */
let active = null; // the newest grid has the keyboard: an old one may linger until the run ends

export default function ({ data, parentElement, setStateValue }) {
  let grid = grids.get(parentElement);
  if (grid?.key !== data.key) {
    grid?.destroy();
    grid = createGrid(parentElement, data.key);
    grids.set(parentElement, grid);
  }
  grid.takeFrame(data, setStateValue);
  const call = ++grid.calls;
  return () => {
    // A call that was overtaken is cleaned up as well, and must not remove the current grid.
    if (call !== grid.calls) return;
    grid.destroy();
    grids.delete(parentElement);
  };
}

function createGrid(parent, key) {
  const journal = journalOf(key);
  const own = journal.unsaved(); // image -> label given here, which no later status may overwrite
  const history = []; // what undo restores: lists of [tile, label before]
  const listening = new AbortController();
  let frame, status, who, codes, labels, tiles, send, drawn, named;
  let current = 0;
  let page = 0;
  /** @type {number?} */
  let awaited = null; // HAND_IN or UNDO until its outcome is shown: what is typed means other images
  let refusal = ""; // why the last hand-in or undo was refused
  let untouched = true; // until the person does something, the first open tile is the current one

  const row = el("div", { className: "row", role: "row" });
  const why = createWhyPanel((image) => send("why", image), () => frame.images[current]);
  const head = createHead({
    give, undo, handIn, turn, toggleWhy: why.toggle, sendAgain: () => sender.send(),
  });
  const sender = createSender(journal, (message) => send("events", message), paintProblem);
  const pictures = el("div", { role: "grid", ariaLabel: "Images", ariaMultiSelectable: "true" }, row);
  const large = el("div", { className: "large", "data-testid": "large" }); // the current picture
  const root = el("div", { className: "root", "data-testid": "label-grid", hidden: true }, head.node,
    el("div", { className: "body" }, large, pictures, why.panel));
  const list = createClassList(root, give, focusTile);
  const selection = createSelection(row, {
    tiles: () => tiles, current: () => current, move: goTo, changed: () => paintAll(), open: openList,
    signal: listening.signal,
  });

  // ---- what is drawn ---------------------------------------------------------------------------

  function takeFrame(next, setStateValue) {
    [frame, send] = [next, setStateValue];
    takeStatus();
  }

  function takeStatus() {
    status = globalThis.gridStatus?.[key];
    if (!frame || !status) return;
    const texts = (status.labels ?? "").split(",");
    codes = frame.images.map((_, i) => (texts[i] ? Number(texts[i]) : OPEN));
    journal.hear();
    journal.acknowledge(status);
    if (status.refused) {
      for (const [image, code] of own) if (typeof code === "string") own.delete(image);
      if (awaited === HAND_IN) own.clear(); // somebody else may have taken a label back
      if (awaited === HAND_IN) history.length = 0;
      [awaited, refusal] = [null, status.refused];
    }
    if (awaited === UNDO && journal.isSaved) awaited = null;
    sender.advance();
    if (status.who !== who) history.length = 0;
    who = status.who;
    journal.who = who;
    const focus = takeFocus();
    if (focus >= 0) own.delete(frame.images[focus]);
    const classes = JSON.stringify([frame.classes, frame.shown]);
    if (classes !== named) readAgain();
    labels = frame.images.map((image, i) => own.get(image) ?? codes[i]);
    const first = drawn === undefined;
    // The classes are on tiles only where the truth is: else these stay, and the list that is open.
    const isTold = frame.truths.some((truth) => truth !== null);
    const looks = JSON.stringify(isTold ? frame : { ...frame, classes: [], shown: [] });
    if (looks !== drawn) build();
    else if (classes !== named) list.update(frame, page * PAGE);
    [drawn, named] = [looks, classes];
    root.hidden = false;
    if (untouched || focus >= 0) {
      current = focus >= 0 ? focus : Math.max(0, labels.indexOf(OPEN));
      selection.clear(current);
    }
    paintAll();
    paintProblem();
    const focused = root.getRootNode().activeElement;
    // The focus follows the current tile, too, where an undo has opened another one meanwhile.
    const follows = focused && (focus >= 0 || (tiles.includes(focused) && focused !== tiles[current]));
    if (first ? !busyElsewhere(document.activeElement) : follows) focusTile();
    why.show(status.why, frame);
  }

  // The classes have changed: what saved labels count as now, the log says.
  function readAgain() {
    journal.reread(status);
    const unsaved = journal.unsaved();
    for (const image of [...own.keys()]) if (!unsaved.has(image)) own.delete(image);
  }

  // The tile that the server wants to have the focus, once per request; -1 for none.
  function takeFocus() {
    const { image, turn } = status.focus ?? { turn: 0 };
    if (turn <= (globalThis.labelGridFocus ?? 0)) return -1;
    const i = frame.images.indexOf(image);
    if (i >= 0) globalThis.labelGridFocus = turn;
    return i;
  }

  function paintProblem() {
    head.paintProblem(
      refusal, status.problem || (sender.isLate ? "The server does not answer." : ""));
  }

  function build() {
    fitRoot(root, frame);
    list.close();
    tiles = frame.images.map((_, i) => createTile(frame, i, () => aim(i)));
    row.replaceChildren(...tiles);
    current = Math.min(current, tiles.length - 1);
  }

  function paintAll() {
    tiles.forEach((_, i) => paint(i));
    paintHead();
    paintLarge();
  }

  function paintLarge() {
    const [is, ought] = [large.dataset.image ?? "", root.classList.contains("zoom") ? current : ""];
    if (is === String(ought)) return;
    delete large.dataset.image;
    large.replaceChildren();
    if (ought === "") return;
    large.dataset.image = String(ought);
    large.append(createPicture(frame.address, frame.pictures[ought], "original"));
  }

  function paint(i) {
    paintTile(tiles[i], i, frame, {
      code: labels[i], showGuess: Boolean(status.guesses), count: tiles.length,
      isCurrent: i === current, isSelected: selection.has(i),
    });
  }

  function paintHead() {
    head.paint({
      labels, classes: frame.classes, shown: frame.shown, page, label: labels[current],
      selected: selection.size,
      onDisk: journal.stored(frame.images, codes).filter((code) => code !== OPEN).length,
      isSaved: journal.isSaved, isReview: Boolean(status.review), isWaiting: awaited !== null,
    });
  }

  function enlarge() {
    const isLarge = root.classList.toggle("zoom");
    paintLarge();
    (isLarge ? large : tiles[current]).scrollIntoView({ block: isLarge ? "start" : "nearest" });
  }

  // A picture below the pointer grows away from the edges, so that nothing is cut off.
  function aim(i) {
    const middle = tiles[i].offsetLeft + tiles[i].offsetWidth / 2;
    tiles[i].style.setProperty("--from", `${(100 * middle) / row.clientWidth}%`);
  }

  // ---- what the person does --------------------------------------------------------------------

  function goTo(i) {
    const before = current;
    untouched = false;
    head.remind("");
    if (i !== current) journal.touch();
    current = i;
    aim(i);
    if (tiles[before]) paint(before);
    paint(i);
    paintHead();
    paintLarge();
    focusTile();
    why.ask();
  }

  function focusTile() {
    root.style.setProperty("--head", `${head.node.offsetHeight}px`); // what covers the tiles
    tiles[current].focus({ preventScroll: true });
    if (tiles[current].matches(":focus")) tiles[current].scrollIntoView({ block: "nearest" });
  }

  function select(i) {
    selection.clear(i);
    goTo(i);
  }

  // Label, skip or clear the selection, or else the current tile; then move on to the next open one,
  // from the top again if need be. In a review there are no open ones: on to the next.
  function give(code) {
    if (awaited) return;
    list.close();
    const chosen = selection.size ? selection.all() : [current];
    const changed = chosen.filter((i) => labels[i] !== code);
    if (changed.length) {
      history.push(changed.map((i) => [i, labels[i]]));
      record(changed.map((i) => [i, code, code]));
    }
    const last = chosen.at(-1);
    const order = labels.map((_, i) => (last + 1 + i) % labels.length);
    const next = status.review ? Math.min(last + 1, labels.length - 1)
      : order.find((i) => labels[i] === OPEN) ?? last;
    select(code === OPEN ? current : next);
  }

  function undo() {
    if (awaited === HAND_IN) return;
    const group = history.pop();
    if (group) {
      record(group.map(([i, before]) => [i, UNDO, before]));
      select(group[0][0]);
    } else if (!status.review) {
      sendEvents([[ANY, UNDO]]);
      awaited = UNDO;
    }
  }

  function handIn() {
    if (status.review || awaited) return;
    const open = labels.indexOf(OPEN);
    if (open >= 0) {
      select(open);
      head.remind(`${labels.filter((code) => code === OPEN).length} still open: label or skip`);
      paintHead();
      return;
    }
    sendEvents([[ANY, HAND_IN]]);
    awaited = HAND_IN;
    paintHead();
  }

  // Each change is a tile, what the person did, and the label that it leads to.
  function record(changes) {
    for (const [i, , code] of changes) {
      own.set(frame.images[i], code);
      labels[i] = code;
      paint(i);
    }
    sendEvents(changes.map(([i, act, code]) => [frame.images[i], act, code]));
  }

  function sendEvents(acts) {
    [untouched, refusal] = [false, ""];
    journal.add(acts);
    sender.advance();
    paintHead();
    paintProblem();
  }

  function turn(step) {
    const pages = Math.ceil(frame.shown.length / PAGE);
    page = (page + step + pages) % pages;
    paintHead();
  }

  function openList() {
    list.open(tiles[current], frame, labels[current], page * PAGE);
  }

  const grid = {
    key, takeFrame, calls: 0,
    destroy() {
      list.close();
      why.stop();
      sender.stop();
      listening.abort();
      root.remove();
      journal.isShown = false;
      if (active === grid) active = null;
    },
  };
  active = grid;
  parent.append(root);
  listenToKeys(root, {
    moves: {
      ArrowLeft: () => Math.max(0, current - 1),
      ArrowRight: () => Math.min(tiles.length - 1, current + 1),
      ArrowUp: () => tileInRow(tiles, current, -1), ArrowDown: () => tileInRow(tiles, current, 1),
      Home: () => 0, End: () => tiles.length - 1,
    },
    edits: {
      " ": () => give(SKIP), Backspace: () => give(OPEN), Delete: () => give(OPEN), Enter: handIn,
      Escape: () => select(current), "Ctrl+A": selection.selectAll,
    },
    commands: {
      s: () => give(SKIP), q: () => give(-6), n: () => give(-7), x: () => give(-8),
      u: undo, l: openList, w: head.pressWhy,
      z: enlarge, "?": head.toggleHelp,
      "[": () => turn(-1), "]": () => turn(1), "Ctrl+Z": undo,
    },
    focus: focusTile,
    signal: listening.signal,
    wanted: (event) => active === grid && !root.hidden && !list.takes(event),
    move: (to, extending) => (extending ? selection.extend : select)(to),
    digit: (i) => page * PAGE + i < frame.shown.length && give(frame.shown[page * PAGE + i]),
  });
  window.addEventListener("beforeunload", (event) => journal.isSaved || event.preventDefault(),
    { signal: listening.signal });
  // Before the click itself: Streamlit would merge the two into one message, and forget the click.
  for (const leaving of ["pointerover", "focusin"]) {
    window.addEventListener(leaving, (event) => event.composedPath().includes(root) || sender.hurry(),
      { signal: listening.signal, capture: true });
  }
  window.addEventListener("grid-status", (/** @type {CustomEventInit} */ { detail }) =>
    detail === key && takeStatus(), { signal: listening.signal });
  return grid;
}
