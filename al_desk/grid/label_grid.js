// @ts-check
// The labelling grid in the browser. Streamlit calls the default export once per mount and again
// whenever `data` changes; in between, only this file touches the DOM below the root. What the person
// does shows at once, in the event handler itself, and goes to the log right after (see journal.js).
//
// `data` is a frame: what is asked. What the log says of it, it is asked for each time.

const grids = new WeakMap(); // shadow root -> grid
/** @type {object?} */
let active = null; // the newest grid has the keyboard: an old one may linger until the run ends

export default function ({ data, parentElement }) {
  let grid = grids.get(parentElement);
  if (grid?.key !== data.key) {
    grid?.destroy();
    grid = createGrid(parentElement, data.key);
    grids.set(parentElement, grid);
  }
  grid.takeFrame(data);
  const call = ++grid.calls;
  return () => {
    // A call that was overtaken is cleaned up as well, and must not remove the current grid.
    if (call !== grid.calls) return;
    grid.destroy();
    grids.delete(parentElement);
  };
}

function createGrid(parent, key) {
  const history = []; // what undo restores: lists of [tile, label before]
  const listening = new AbortController();
  let frame, journal, labels, tiles, drawn, named;
  let ahead; // pictures of the next batch, so that the browser has them by then
  let current = 0;
  let page = 0;
  /** @type {number?} */
  let awaited = null; // HAND_IN or UNDO until its outcome is shown: what is typed means other images
  let refusal = ""; // why the last hand-in or undo was refused
  let seen; // another holder, for whom the page was asked to run
  let untouched = true; // until the person does something, the first open tile is the current one

  const row = el("div", { className: "row", role: "row" });
  const why = createWhyPanel(() => frame, () => frame.images[current]);
  const head = createHead({
    give, undo, handIn, turn, toggleWhy: why.toggle, sendAgain: () => journal.retry(),
  });
  const pictures = el("div", { role: "grid", ariaLabel: "Images", ariaMultiSelectable: "true" }, row);
  const root = el("div", { className: "root", "data-testid": "label-grid", hidden: true }, head.node);
  const large = createLarge(root, () => frame, () => current, () => tiles[current]);
  root.append(el("div", { className: "body" }, large.node, pictures, why.panel));
  const list = createClassList(root, give, focusTile);
  const selection = createSelection(row, {
    tiles: () => tiles, current: () => current, move: goTo, changed: () => paintAll(), open: openList,
    signal: listening.signal,
  });

  // ---- what is drawn ---------------------------------------------------------------------------

  function takeFrame(next) {
    frame = next;
    if (journal?.name !== frame.grid) {
      journal?.leaveGrid(takeAnswer);
      journal = journalOf(frame);
      journal.listen(takeAnswer);
      history.length = 0;
    } else journal.begin(frame);
    const classes = JSON.stringify([frame.classes, frame.shown]);
    journal.ask(frame.images, classes !== named && named !== undefined);
    if (frame.focus) aimAt(frame.focus);
    // The classes are on tiles only where the truth is: else these stay, and the list that is open.
    const isTold = frame.truths.some((truth) => truth !== null);
    const { address, pictures, images, guesses, truths } = frame;
    const looks = JSON.stringify([address, pictures, images, guesses, truths, isTold && classes]);
    if (looks !== drawn) build();
    else if (classes !== named) list.update(frame, page * PAGE);
    [drawn, named] = [looks, classes];
    ahead = frame.ahead.map((picture) => createPicture(address, picture));
    takeAnswer({});
  }

  // What the log has said is in the journal; `said` is what else the answer brought.
  function takeAnswer(said) {
    if (!journal.knows(frame.images)) {
      root.hidden = journal.problem === ""; // before the first answer nobody can label
      return paintProblem();
    }
    if (said.classes) takeClasses(said);
    if (said.refused) [awaited, refusal] = [null, said.refused];
    if (awaited === UNDO && journal.isSaved && !said.run) awaited = null;
    if (said.focus) aimAt(said.focus);
    const holder = said.holder ?? "";
    if (said.at && frame.holder && ![frame.holder, seen].includes(holder) && !awaited) {
      seen = holder; // the batch was handed in, or somebody else has it
      globalThis.deskLink?.run();
    }
    const focus = takeFocus();
    if (focus >= 0) awaited = null;
    const first = labels === undefined;
    labels = journal.labels(frame.images);
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
  }

  // Sooner than the page is drawn again.
  function takeClasses({ classes, shown }) {
    frame = { ...frame, classes, shown };
    list.update(frame, page * PAGE);
  }

  // An undo leads to an image, which may be of another batch: whichever grid has it.
  function aimAt([image, turn]) {
    if (turn > (globalThis.deskFocus?.turn ?? 0)) globalThis.deskFocus = { image, turn };
  }

  // The tile that is aimed at, once; -1 for none.
  function takeFocus() {
    const i = frame.images.indexOf(globalThis.deskFocus?.image);
    if (i >= 0) globalThis.deskFocus.image = undefined;
    return i;
  }

  function paintProblem() {
    head.paintProblem(refusal, journal.problem);
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
    large.paint();
  }

  function paint(i) {
    paintTile(tiles[i], i, frame, {
      code: labels[i], showGuess: frame.show, count: tiles.length,
      isCurrent: i === current, isSelected: selection.has(i),
    });
  }

  function paintHead() {
    head.paint({
      labels, classes: frame.classes, shown: frame.shown, page, label: labels[current],
      selected: selection.size,
      onDisk: journal.stored(frame.images),
      isSaved: journal.isSaved, isReview: frame.review, isWaiting: awaited !== null,
    });
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
    large.paint();
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
    const next = frame.review ? Math.min(last + 1, labels.length - 1)
      : order.find((i) => labels[i] === OPEN) ?? last;
    select(code === OPEN ? current : next);
  }

  function undo() {
    if (awaited === HAND_IN) return;
    const group = history.pop();
    if (group) {
      record(group.map(([i, before]) => [i, UNDO, before]));
      select(group[0][0]);
    } else if (!frame.review) {
      sendEvents([[ANY, UNDO]]);
      awaited = UNDO;
    }
  }

  function handIn() {
    if (frame.review || awaited) return;
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
    for (const [i, , code] of changes) labels[i] = code;
    sendEvents(changes.map(([i, act, code]) => [frame.images[i], act, code]));
    for (const [i] of changes) paint(i);
  }

  function sendEvents(acts) {
    [untouched, refusal] = [false, ""];
    journal.add(acts);
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
      listening.abort();
      root.remove();
      journal?.leaveGrid(takeAnswer);
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
      z: large.toggle, "?": head.toggleHelp,
      "[": () => turn(-1), "]": () => turn(1), "Ctrl+Z": undo,
    },
    focus: focusTile,
    signal: listening.signal,
    wanted: (event) => active === grid && labels !== undefined && !list.takes(event),
    move: (to, extending) => (extending ? selection.extend : select)(to),
    digit: (i) => page * PAGE + i < frame.shown.length && give(frame.shown[page * PAGE + i]),
  });
  // The page was drawn again, or another tab may have changed something meanwhile.
  for (const name of ["desk-drawn", "focus"]) {
    window.addEventListener(name, () => journal.ask(frame.images), { signal: listening.signal });
  }
  return grid;
}
