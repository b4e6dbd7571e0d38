// @ts-check
// What the person does with the images: label, skip, clear, undo, redo, hand in. Part of one module
// with label_grid.js.

// `grid` gives frame(), labels(), current(), journal(), selection and list; it moves the current tile,
// paints one, and what says how it stands.
function createActs(grid) {
  const history = []; // what undo restores: lists of [tile, label before]
  const undoneHere = []; // what redo gives again: lists of [image, label]
  /** @type {number?} */
  let awaited = null; // HAND_IN or UNDO until its outcome is shown: what is typed means other images
  let refusal = ""; // why the last hand-in or undo was refused

  // An undo may lead to another batch of the experiment, and redo from there.
  function undone() {
    const { review, experiment, annotator } = grid.frame();
    const whose = `${experiment} ${annotator}`;
    return review ? undoneHere : (globalThis.deskUndone ??= {})[whose] ??= [];
  }

  // The next open tile, from the top again if need be; -1 for none. In a review there are no open
  // ones: the next.
  function after(i) {
    const labels = grid.labels();
    if (grid.frame().review) return i + 1 < labels.length ? i + 1 : -1;
    const order = labels.map((_, j) => (i + 1 + j) % labels.length);
    return order.find((j) => j !== i && labels[j] === OPEN) ?? -1;
  }

  // Label, skip or clear the selection, or else the current tile; then move on.
  function give(code, stays = false) {
    if (awaited) return;
    grid.list.close();
    const [frame, labels, current] = [grid.frame(), grid.labels(), grid.current()];
    const chosen = grid.selection.size ? grid.selection.all() : current < 0 ? [] : [current];
    if (!chosen.length) return;
    if (!(code < 0)) noteGiven(frame.experiment, labelText(code, frame.classes));
    const changed = chosen.filter((i) => labels[i] !== code);
    if (changed.length) undone().length = 0;
    change(changed.map((i) => [i, code]));
    if (stays) return;
    grid.select(code === OPEN ? (current < 0 ? chosen[0] : current) : after(chosen[chosen.length - 1]));
  }

  // Of another class than what is offered, or, where all of them were said to be, of it after all.
  function takeOut(stays = false) {
    const [labels, { selection }] = [grid.labels(), grid];
    const chosen = selection.size ? selection.all() : [grid.current()];
    give(chosen.every((i) => labels[i] === OUT) ? OPEN : OUT, stays);
  }

  // Tiles and their new labels, which an undo takes back together.
  function change(changes) {
    if (!changes.length) return;
    history.push(changes.map(([i]) => [i, grid.labels()[i]]));
    record(changes.map(([i, code]) => [i, code, code]));
  }

  function undo() {
    if (awaited === HAND_IN) return;
    const group = history.pop();
    if (group) {
      undone().push(group.map(([i]) => [grid.frame().images[i], grid.labels()[i]]));
      record(group.map(([i, before]) => [i, UNDO, before]));
      grid.select(group[0][0]);
    } else if (!grid.frame().review) {
      send([[ANY, UNDO]]);
      awaited = UNDO;
    }
  }

  // What was undone last is given again, where its images are here.
  function redo() {
    const group = (undone().at(-1) ?? []).map(([image, code]) =>
      [grid.frame().images.indexOf(image), code]);
    if (awaited || !group.length || group.some(([i]) => i < 0)) return;
    undone().pop();
    change(group);
    grid.select(after(group[group.length - 1][0]));
  }

  function handIn() {
    if (grid.frame().review || awaited) return;
    const labels = grid.labels();
    const open = labels.indexOf(OPEN);
    if (open >= 0) {
      grid.select(open);
      grid.remind(`${labels.filter((code) => code === OPEN).length} still open: label or skip`);
      grid.changed();
      return;
    }
    awaited = HAND_IN;
    send([[ANY, HAND_IN]]);
  }

  // Each change is a tile, what the person did, and the label that it leads to.
  function record(changes) {
    for (const [i, , code] of changes) grid.labels()[i] = code;
    send(changes.map(([i, act, code]) => [grid.frame().images[i], act, code]));
    for (const [i] of changes) grid.paint(i);
  }

  function send(events) {
    refusal = "";
    grid.journal().add(events);
    grid.changed();
  }

  // What an answer of the log says of the last hand-in or undo.
  function hear(said) {
    for (const one of said.undone ?? []) undone().push([one]);
    if (said.refused) [awaited, refusal] = [null, said.refused];
    if (awaited === UNDO && grid.journal().isSaved && !said.run) awaited = null;
  }

  return {
    give, takeOut, undo, redo, handIn, after, hear,
    forget: () => { history.length = 0; },
    arrive: () => { awaited = null; },
    get isWaiting() { return awaited !== null; },
    get refusal() { return refusal; },
  };
}
