// The labelling grid in the browser. Streamlit calls the default export once per mount and again
// whenever `data` changes; in between, nobody but this file touches the DOM below the root.
// What the person does shows at once, in the handler of the very key, and is sent right after.
//
// `data` is a frame: what never changes while a batch lasts, with its pictures. What does change
// (labels on disk, how much is saved) comes as a status, through grid_status.js.

const SKIP = -1;
const OPEN = -2; // as an event it says: cleared
const UNDO = -3; // of one image, or, with image -1, of whatever came before this mount
const HAND_IN = -4;
const ANY = -1; // as the image of an event that is about none
const PAGE = 10; // as many classes as there are digits
const TYPING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const CONTROL = "a, button, summary, input, [role]";

const grids = new WeakMap(); // shadow root -> grid
let active = null; // the newest grid has the keyboard: a stale one may linger until the run ends

export default function ({ data, parentElement, setStateValue }) {
  const frame = parseFrame(data);
  let grid = grids.get(parentElement);
  if (grid?.key !== frame.key) {
    grid?.destroy();
    grid = createGrid(parentElement, frame.key);
    grids.set(parentElement, grid);
  }
  grid.takeFrame(frame, setStateValue);
  const call = ++grid.calls;
  return () => {
    // An overtaken call is cleaned up as well, and must not take the living grid with it.
    if (call !== grid.calls) return;
    grid.destroy();
    grids.delete(parentElement);
  };
}

// Four bytes say how long the JSON is; the sheet of pictures follows it.
function parseFrame(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = 4 + view.getUint32(0, true);
  const frame = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end)));
  return { ...frame, sheet: bytes.subarray(end), shape: `${bytes.byteLength} ${frame.digest}` };
}

function createGrid(parent, key) {
  // crypto.randomUUID() exists on https and localhost only.
  const random = crypto.getRandomValues(new Uint32Array(4));
  const mount = Array.from(random, (part) => part.toString(36)).join("");
  const events = []; // all that was done in this mount; append-only, for its index names an event
  const effects = []; // the image and the code that each event led to
  const own = new Map(); // image -> label given here, which a later status must not overwrite
  const history = []; // what undo puts back: lists of [tile, label before]
  const listening = new AbortController();
  let frame, status, labels, tiles, send, drawn, asking;
  let current = 0;
  let page = 0;
  let acknowledged = 0; // events that are on disk
  let handingIn = 0; // how many events there were with the one that hands in
  let sends = 0;
  let focused = 0; // the last focus that the server asked for
  let since = performance.now(); // when the current tile was reached, or the last event

  const progress = el("span", { className: "progress", role: "status" });
  const saved = el("span", { className: "saved" });
  const legend = el("div", { className: "legend", role: "group", ariaLabel: "Classes" });
  const help = createHelp();
  const row = el("div", { className: "row", role: "row" });
  const handInButton = el("button", { type: "button", className: "primary", onclick: handIn },
    "Hand in batch", el("kbd", {}, "↵"));
  const why = createWhyPanel();
  const whyButton = command("W", "Why", toggleWhy, { ariaPressed: "false" });
  const problem = el("span", { role: "alert" });
  const problemBar = el("div", { className: "problem", hidden: true }, problem,
    el("button", { type: "button", onclick: () => sendEvents([]) }, "Save again"));
  const head = el("div", { className: "head" },
    el("div", { className: "bar" }, progress, saved, command("S", "Skip", () => give(SKIP)),
      command("U", "Undo", undo), whyButton,
      command("?", "Keys", () => { help.hidden = !help.hidden; }), handInButton),
    problemBar, legend, help);
  const pictures = el("div", { role: "grid", ariaLabel: "Images", ariaMultiSelectable: "true" }, row);
  const root = el("div", { className: "root", "data-testid": "label-grid", hidden: true }, head,
    el("div", { className: "body" }, pictures, why.panel));
  const list = createClassList(root, give, focusTile);
  const selection = createSelection(row, {
    tiles: () => tiles, current: () => current, move: goTo, changed: () => paintAll(), open: openList,
    signal: listening.signal,
  });

  // A button that leaves the focus where it is, on a tile; each has a key of its own.
  function command(keyName, text, run, props = {}) {
    return el("button", {
      type: "button", tabIndex: -1, onclick: run, onmousedown: (event) => event.preventDefault(),
      ...props,
    }, el("kbd", {}, String(keyName)), el("span", {}, text));
  }

  // ---- what is drawn ---------------------------------------------------------------------------

  function takeFrame(next, setStateValue) {
    [frame, send] = [next, setStateValue];
    takeStatus();
  }

  function takeStatus() {
    status = globalThis.labelGridStatus?.get(key);
    if (!frame || !status) return;
    const codes = (status.labels ?? "").split(",");
    const stored = frame.images.map((_, i) => (codes[i] ? Number(codes[i]) : OPEN));
    if (status.mount === mount) acknowledged = Math.max(acknowledged, status.saved ?? 0);
    if (handingIn && acknowledged >= handingIn) handingIn = 0; // refused, for this grid is still here
    if (status.focus && status.focus.turn > focused) own.delete(status.focus.image);
    labels = frame.images.map((image, i) => own.get(image) ?? stored[i]);
    status.codes = stored;
    write(problem, status.problem ? `Not saved yet: ${status.problem} Your labels are kept here.` : "");
    problemBar.hidden = !status.problem;
    const first = drawn === undefined;
    if (frame.shape !== drawn) build();
    drawn = frame.shape;
    root.hidden = false;
    root.ariaDisabled = String(Boolean(status.disabled));
    handInButton.hidden = whyButton.hidden = Boolean(status.review);
    if (first) current = Math.max(0, labels.indexOf(OPEN));
    if (status.focus && status.focus.turn > focused) {
      focused = status.focus.turn;
      current = Math.max(0, frame.images.indexOf(status.focus.image));
    }
    paintAll();
    if (first && !busyElsewhere(document.activeElement)) focusTile();
    if (asking) why.show(status.why, frame.images[current], frame.classes);
  }

  function build() {
    const { size, images, truths } = frame;
    const wanted = 96; // twenty tiles fit on one screen
    const factor = Math.max(1, Math.round(wanted / size)); // whole pixels stay whole
    root.style.setProperty("--tile", `${size > 96 ? Math.min(size, 160) : size * factor}px`);
    root.classList.toggle("pixelated", size <= 96);
    root.classList.toggle("long", frame.classes.some((name) => name.length > 14));
    root.classList.toggle("guessed", frame.guesses.some((guess) => guess !== null));
    list.close();
    tiles = images.map((image, i) => el("div", {
      className: "tile", role: "gridcell", ariaHasPopup: "listbox", ariaExpanded: "false",
      "data-testid": "tile", "data-image": image, onmouseenter: () => aim(i),
    }, el("canvas", { width: size, height: size }), el("div", { className: "name" }),
    el("div", { className: "guess" }), ...(truths[i] === null ? [] : [
      el("div", { className: "truth" }, `Truth: ${frame.classes[truths[i]]}`)])));
    row.replaceChildren(...tiles);
    current = Math.min(current, tiles.length - 1);
    drawPictures(tiles.map((tile) => tile.firstChild), frame.sheet, size);
  }

  function paintAll() {
    tiles.forEach((_, i) => paint(i));
    paintHead();
  }

  // The model's guess as the person may see it: blind first, unless the setting says otherwise.
  function guessFor(i) {
    const [code, guess] = [labels[i], frame.guesses[i]];
    if (!guess || code === SKIP || (code === OPEN && !status.guesses) || guess[0] === code) return "";
    return `${code === OPEN ? "" : "≠ "}${frame.classes[guess[0]]} · ${guess[1]}%`;
  }

  function paint(i) {
    const [tile, code, guess] = [tiles[i], labels[i], guessFor(i)];
    const [isCurrent, isSelected] = [i === current, selection.has(i)];
    const looks = `${code} ${guess} ${isCurrent} ${isSelected}`;
    if (tile.looks === looks) return;
    tile.looks = looks;
    const text = code === SKIP ? "Skipped" : frame.classes[code] ?? "";
    tile.dataset.label = code === SKIP ? "" : text;
    if (code === SKIP) tile.dataset.skipped = "true";
    else delete tile.dataset.skipped;
    const [, name, mark] = tile.children;
    name.textContent = name.title = text;
    mark.textContent = guess;
    mark.title = guess && `The model's guess: ${guess.replace("≠ ", "")}`;
    tile.classList.toggle("current", isCurrent);
    tile.ariaSelected = String(isSelected);
    tile.tabIndex = isCurrent ? 0 : -1;
    tile.ariaLabel = `Image ${i + 1} of ${tiles.length}, ${text || "not labelled yet"}`
      + (guess && `, the model says ${guess.replace("≠ ", "")}`);
  }

  function paintHead() {
    const total = labels.length;
    const done = labels.filter((code) => code >= 0).length;
    const skipped = labels.filter((code) => code === SKIP).length;
    const rest = done === total ? "All labelled" : done + skipped === total ? "None left open" : "";
    write(progress, selection.size ? `${selection.size} selected`
      : `${done} of ${total} labelled${skipped ? `, ${skipped} skipped` : ""}${rest && `. ${rest}`}`);
    progress.classList.toggle("done", rest !== "");
    const stored = new Map(frame.images.map((image, i) => [image, status.codes[i]]));
    for (const [image, code] of effects.slice(0, acknowledged)) stored.set(image, code);
    const onDisk = frame.images.filter((image) => stored.get(image) !== OPEN).length;
    write(saved, acknowledged < events.length ? `${onDisk} saved, saving…`
      : status.review ? "Saved" : `${onDisk} of ${total} saved`);
    handInButton.ariaDisabled = String(rest === "" || handingIn > 0);
    paintLegend();
  }

  function paintLegend() {
    const [from, pages] = [page * PAGE, Math.ceil(frame.classes.length / PAGE)];
    if (legend.page !== page || legend.classes !== frame.classes) {
      const keys = frame.classes.slice(from, from + PAGE).map((name, digit) =>
        command(digit, name, () => give(from + digit), { title: name }));
      const pager = pages < 2 ? [] : [el("span", { className: "pager" },
        command("[", "", () => turn(-1), { ariaLabel: "Previous classes" }),
        `${page + 1} of ${pages}`,
        command("]", "", () => turn(1), { ariaLabel: "Next classes" }))];
      legend.replaceChildren(...keys, ...pager);
      [legend.page, legend.classes] = [page, frame.classes];
    }
    legend.querySelectorAll(":scope > button").forEach((button, digit) => {
      button.ariaPressed = String(labels[current] === from + digit);
    });
  }

  // Where an enlarged picture grows from: away from the edges, so that nothing is cut off.
  function aim(i) {
    const middle = tiles[i].offsetLeft + tiles[i].offsetWidth / 2;
    tiles[i].style.setProperty("--from", `${(100 * middle) / row.clientWidth}%`);
  }

  // ---- what the person does --------------------------------------------------------------------

  function goTo(i) {
    const before = current;
    if (i !== current) since = performance.now();
    current = i;
    root.style.setProperty("--head", `${head.offsetHeight}px`); // what sticks out above the tiles
    aim(i);
    if (tiles[before]) paint(before);
    paint(i);
    paintHead();
    focusTile();
    askWhy();
  }

  function focusTile() {
    tiles[current].focus({ preventScroll: true });
    if (tiles[current].matches(":focus")) tiles[current].scrollIntoView({ block: "nearest" });
  }

  function select(i) {
    selection.clear(i);
    goTo(i);
  }

  // Label, skip or clear what is selected, else the current tile; then on to the next open one,
  // from the top again. In a review there are no open ones: on to the next.
  function give(code) {
    if (status.disabled || handingIn) return;
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
    if (status.disabled || handingIn) return;
    const group = history.pop();
    if (group) {
      record(group.map(([i, before]) => [i, UNDO, before]));
      select(group[0][0]);
    } else if (!status.review) {
      sendEvents([[ANY, UNDO]]);
    }
  }

  function handIn() {
    if (status.disabled || status.review || handingIn) return;
    const open = labels.indexOf(OPEN);
    if (open >= 0) {
      select(open);
      write(progress, `${labels.filter((code) => code === OPEN).length} still open: label or skip`);
      return;
    }
    sendEvents([[ANY, HAND_IN]]);
    handingIn = events.length;
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

  // The time since the last event is shared out among the images that were answered at once.
  function sendEvents(acts) {
    const now = performance.now();
    for (const [image, act, code] of acts) {
      events.push([image, act, Math.round((now - since) / acts.length)]);
      effects.push([image, code]);
    }
    since = now;
    sends += 1; // so that the same events, sent again, are not taken for old news
    send("events", { mount, sends, first: acknowledged, events: events.slice(acknowledged) });
    paintHead();
  }

  function moveRow(direction) {
    const columns = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
    const [last, target] = [tiles.length - 1, current + direction * columns];
    // From above a short last row, down leads to its end.
    const short = Math.floor(last / columns) > Math.floor(current / columns);
    return tiles[target] || (target > last && short) ? Math.min(target, last) : current;
  }

  function turn(step) {
    const pages = Math.ceil(frame.classes.length / PAGE);
    page = (page + step + pages) % pages;
    paintHead();
  }

  function openList() {
    if (!status.disabled) list.open(tiles[current], frame.classes, labels[current], page * PAGE);
  }

  function toggleWhy() {
    why.panel.hidden = !why.panel.hidden;
    whyButton.ariaPressed = String(!why.panel.hidden);
    if (why.panel.hidden) send("why", null);
    else askWhy();
  }

  // Asked once the person rests on a tile, not for each one passed on the way.
  function askWhy() {
    if (why.panel.hidden) return;
    clearTimeout(asking);
    why.show(null);
    asking = setTimeout(() => send("why", frame.images[current]), 120);
  }

  // ---- the keyboard ----------------------------------------------------------------------------

  const MOVES = {
    ArrowLeft: () => Math.max(0, current - 1),
    ArrowRight: () => Math.min(tiles.length - 1, current + 1),
    ArrowUp: () => moveRow(-1), ArrowDown: () => moveRow(1),
    Home: () => 0, End: () => tiles.length - 1,
  };
  const EDITS = {
    " ": () => give(SKIP), Backspace: () => give(OPEN), Delete: () => give(OPEN), Enter: handIn,
    Escape: () => select(current),
  };
  const COMMANDS = {
    s: () => give(SKIP), u: undo, l: openList, w: toggleWhy,
    z: () => root.classList.toggle("zoom"), "?": () => { help.hidden = !help.hidden; },
    "[": () => turn(-1), "]": () => turn(1),
  };

  function actionFor(event, onControl) {
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // Many keyboards type brackets with AltGr, which reads as Ctrl+Alt.
    if (event.getModifierState("AltGraph")) return "[]".includes(name) ? COMMANDS[name] : undefined;
    if (event.altKey) return undefined;
    if (event.ctrlKey || event.metaKey) {
      return event.shiftKey ? undefined : { z: undo, a: onControl ? undefined : selection.selectAll }[name];
    }
    // The digit row of a French keyboard types "&é" and so on unless shifted.
    const digit = /^\d$/.test(name) ? name
      : !event.shiftKey && !COMMANDS[name] && /^Digit(\d)$/.exec(event.code)?.[1];
    const code = page * PAGE + Number(digit);
    if (digit) return () => code < frame.classes.length && give(code);
    if (COMMANDS[name]) return COMMANDS[name];
    if (onControl) return undefined;
    if (MOVES[name]) return () => (event.shiftKey ? selection.extend : select)(MOVES[name]());
    return EDITS[name];
  }

  // The person is typing into something else, or has a dialog open.
  function busyElsewhere(node) {
    return node?.closest(TYPING) || document.querySelector('[role="dialog"]');
  }

  function onKey(event) {
    const target = event.composedPath()[0];
    if (active !== grid || root.hidden || event.isComposing || list.takes(event)) return;
    const inside = root.contains(target);
    if (!inside && busyElsewhere(target)) return;
    const onControl = inside ? target === handInButton && event.key === " "
      : target.matches(CONTROL);
    const action = actionFor(event, onControl);
    if (!action) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Streamlit's own shortcuts listen on the document too
    // A key held down moves on, but does not label the rest of the batch.
    if (!event.repeat || MOVES[event.key]) action();
  }

  const grid = {
    key, takeFrame, calls: 0,
    destroy() {
      list.close();
      clearTimeout(asking);
      listening.abort();
      root.remove();
      if (active === grid) active = null;
    },
  };
  active = grid;
  parent.append(root);
  document.addEventListener("keydown", onKey, { capture: true, signal: listening.signal });
  document.addEventListener("label-grid-status", ({ detail }) => detail === key && takeStatus(),
    { signal: listening.signal });
  return grid;
}
