// @ts-check
// The labelling grid in the browser. Streamlit calls the default export once per mount and again
// whenever `data` changes; in between, only this module touches the DOM below the root. What the person
// does shows at once, in the event handler itself, and goes to the log right after (see journal.js).
//
// `data` is a frame: what is asked. What the log says of it, it is asked for each time.

const grids = new WeakMap(); // shadow root -> grid
const live = []; // the grids on the page, the oldest first: one may linger until the run ends
/** @type {object?} */
let active = null; // the one that has the keyboard: the newest, or the one that was used last

export default function ({ data, parentElement }) {
  let grid = grids.get(parentElement);
  if (grid?.key !== data.key) {
    grid?.destroy();
    grid = createGrid(parentElement, data);
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

function createGrid(parent, { key, wall: isWall }) {
  const listening = new AbortController();
  let frame, journal, labels, tiles, drawn, named;
  let ahead; // pictures of the next batch, so that the browser has them by then
  let current = 0; // -1 once all is answered: then a key changes nothing
  let last = 0; // the tile that was the current one before
  let seen; // another holder, for whom the page was asked to run
  let isLost = false; // the focus, to what was drawn anew around it
  let untouched = true; // until the person does something, the first open tile is the current one

  const pictures = el("div", { className: "tiles", role: "grid", ariaLabel: "Images", tabIndex: -1,
    ariaMultiSelectable: "true" });
  const root = el("div", { className: "root", "data-testid": "label-grid", hidden: true });
  const why = createWhyPanel(root, () => frame, () => current);
  root.classList.toggle("wall", isWall);
  const layout = createLayout(root, pictures, resize, () => focusTile(), isWall);
  const light = createLight(root, focusTile);
  const legend = createLegend(give);
  const head = createHead(legend, {
    give, undo: () => acts.undo(), handIn: () => acts.handIn(), enlarge: () => large.toggle(),
    toggleWhy: why.toggle, sendAgain: () => journal.retry(), isWall,
  }, layout.node, light.node);
  const large = createLarge(root, {
    frame: () => frame, tiles: () => tiles, current: () => current, next: () => acts.after(current),
    open: openList, focus: focusTile, brighten: light.toggle,
    unselect: () => selection.clear(Math.max(0, current)),
  });
  root.append(head.node, el("div", { className: "body" }, large.node, pictures, why.panel));
  const list = createClassList(root, give, focusTile);
  const selection = createSelection(pictures, {
    tiles: () => tiles, current: () => current, move: goTo, changed: () => paintAll(), open: openList,
    enlarge: () => large.isOpen || large.toggle(), signal: listening.signal,
    pressed: () => isWall && (acts.takeOut(true), true),
  });

  const acts = createActs({
    frame: () => frame, labels: () => labels, current: () => current, journal: () => journal,
    selection, select, paint, list, remind: head.remind,
    changed() {
      untouched = false;
      paintHead();
      paintProblem();
    },
  });

  // ---- what is drawn ---------------------------------------------------------------------------

  function takeFrame(next) {
    isLost ||= root.contains(root.getRootNode().activeElement);
    frame = next;
    if (journal?.name !== frame.grid) {
      journal?.leaveGrid(takeAnswer);
      journal = journalOf(frame);
      journal.listen(takeAnswer);
      acts.forget();
    } else journal.begin(frame);
    const classes = JSON.stringify([frame.classes, frame.shown, frame.keys]);
    journal.ask(frame.images, classes !== named && named !== undefined);
    if (frame.focus) aimAt(frame.focus);
    legend.take(frame);
    // The classes are on tiles only where the truth is: else these stay, and the list that is open.
    const isTold = frame.truths.some((truth) => truth !== null);
    const { address, pictures: shown, images, guesses, truths } = frame;
    const looks = JSON.stringify([address, shown, images, guesses, truths, isTold && classes]);
    if (looks !== drawn) build();
    else if (classes !== named) list.update(frame, legend.keys());
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
    acts.hear(said);
    if (said.focus) aimAt(said.focus);
    const holder = said.holder ?? "";
    if (said.at && frame.holder && ![frame.holder, seen].includes(holder) && !acts.isWaiting) {
      seen = holder; // the batch was handed in, or somebody else has it
      globalThis.deskLink?.run();
    }
    const focus = takeFocus();
    if (focus >= 0) acts.arrive();
    const first = labels === undefined;
    labels = journal.labels(frame.images);
    root.hidden = false;
    const [before, open] = [current, labels.indexOf(OPEN)];
    if (untouched || focus >= 0) {
      current = focus >= 0 ? focus : frame.review ? Math.max(0, open) : open;
      selection.clear(Math.max(0, current));
    } else if (current < 0 && !frame.review) current = open; // it was opened elsewhere
    if (current !== before) why.ask();
    paintAll();
    paintProblem();
    const focused = root.getRootNode().activeElement;
    // The focus follows the current tile, too, where an undo has opened another one meanwhile.
    const follows = focused && (focus >= 0 || (tiles.includes(focused) && focused !== tiles[current]));
    const back = first || (isLost && !focused);
    isLost = false;
    if (back ? !busyElsewhere(document.activeElement) : follows) focusTile();
  }

  // Sooner than the page is drawn again.
  function takeClasses({ classes, shown, keys }) {
    frame = { ...frame, classes, shown, keys };
    legend.take(frame);
    list.update(frame, legend.keys());
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
    head.paintProblem(acts.refusal, journal.problem);
  }

  function build() {
    list.close();
    tiles = frame.images.map((_, i) => createTile(frame, i, () => aim(i)));
    layout.place(tiles, frame);
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
    pictures.tabIndex = current < 0 ? 0 : -1;
    head.paint({
      labels, label: labels[current], selected: selection.size,
      onDisk: journal.stored(frame.images),
      isSaved: journal.isSaved, isReview: frame.review, isWaiting: acts.isWaiting, isWall,
    });
  }

  // A picture below the pointer grows away from the edges, so that nothing is cut off.
  function aim(i) {
    const middle = tiles[i].offsetLeft + tiles[i].offsetWidth / 2;
    tiles[i].style.setProperty("--from", `${(100 * middle) / pictures.clientWidth}%`);
  }

  // ---- what the person does --------------------------------------------------------------------

  function goTo(i) {
    const before = current;
    untouched = false;
    head.remind("");
    if (i !== current) journal.touch();
    current = i;
    for (const place of [before, i].filter((one) => tiles[one])) {
      last = place;
      paint(place);
    }
    paintHead();
    large.paint();
    focusTile();
    why.ask();
  }

  // The focus is on the current tile; where there is none, or only its large picture, on what there is.
  function focusTile(isInView = false) {
    if (labels === undefined) return;
    const node = large.isAlone ? large.node : tiles[current] ?? pictures;
    node.focus({ preventScroll: true });
    if (!isInView && node === tiles[current] && node.matches(":focus")) {
      node.scrollIntoView({ block: "nearest" });
    }
  }

  function select(i) {
    selection.clear(i < 0 ? last : i);
    goTo(i);
  }

  function give(code) {
    acts.give(code);
  }

  // In a wall nothing is skipped: what is taken out is asked about like any other.
  function setAside(code) {
    return () => (isWall ? acts.takeOut() : give(code));
  }

  function openList() {
    if (current < 0) return;
    list.open(large.isAlone ? large.anchor : tiles[current], frame, labels[current], legend.keys());
  }

  function leave() {
    if (!large.close()) select(current);
  }

  function resize(step) {
    if (large.isOpen) large.step(step);
    else layout.resize(step);
  }

  const grid = {
    key, takeFrame, calls: 0,
    destroy() {
      list.close();
      for (const part of [why, layout, large]) part.stop();
      covers.disconnect();
      listening.abort();
      root.remove();
      journal?.leaveGrid(takeAnswer);
      live.splice(live.indexOf(grid), 1);
      if (active === grid) active = live.at(-1) ?? null;
    },
  };
  live.push(active = grid);
  for (const name of ["pointerdown", "focusin"]) {
    root.addEventListener(name, () => { active = grid; }, { signal: listening.signal });
  }
  parent.append(root);
  const covers = new ResizeObserver(() => { // the tiles
    root.style.setProperty("--head", `${head.node.offsetHeight}px`);
  });
  covers.observe(head.node);
  const from = () => (current < 0 ? last : current);
  listenToKeys(root, {
    moves: {
      ArrowLeft: () => Math.max(0, from() - 1),
      ArrowRight: () => Math.min(tiles.length - 1, from() + 1),
      ArrowUp: () => layout.inRow(from(), -1), ArrowDown: () => layout.inRow(from(), 1),
      Home: () => 0, End: () => tiles.length - 1,
    },
    edits: {
      " ": setAside(SKIP), Enter: acts.handIn,
      Backspace: setAside(OPEN), Delete: setAside(OPEN),
      Escape: leave, "Ctrl+A": () => large.isAlone || selection.selectAll(),
    },
    commands: {
      s: setAside(SKIP), q: setAside(-6), n: setAside(-7), x: setAside(-8),
      u: acts.undo, l: openList, "/": openList, w: () => frame.review || head.pressWhy(),
      z: large.toggle, f: large.toggleAlone, b: light.toggle, "?": head.toggleHelp,
      "+": () => resize(1), "=": () => resize(1), "-": () => resize(-1),
      "[": () => legend.turn(-1), "]": () => legend.turn(1),
      "Ctrl+Z": acts.undo, "Ctrl+Y": acts.redo, "Ctrl+Shift+Z": acts.redo,
    },
    focus: () => focusTile(true),
    signal: listening.signal,
    isActive: () => active === grid && labels !== undefined,
    wanted: (event) => active === grid && labels !== undefined && !list.takes(event),
    move: (to, extending) => (extending && !large.isAlone ? selection.extend : select)(to),
    pan: large.panTowards,
    isOfClass: (name) => DIGITS.includes(name) || legend.on(name) !== undefined,
    label: (name) => legend.on(name) !== undefined && give(legend.on(name)),
  });
  // The page was drawn again, or another tab may have changed something meanwhile.
  for (const name of ["desk-drawn", "focus"]) {
    window.addEventListener(name, () => journal.ask(frame.images), { signal: listening.signal });
  }
  return grid;
}
