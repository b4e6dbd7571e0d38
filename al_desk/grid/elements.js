// @ts-check
// The elements that the labelling grid is made of, beside its pictures (widgets/picture.js), and what
// this browser remembers. Part of one module with label_grid.js.

// A text that has not changed is not announced again.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A button that leaves the focus where it is, on a tile; each has its own key.
function command(keyName, text, run, props = {}) {
  return el("button", {
    type: "button", tabIndex: -1, onclick: run, onmousedown: (event) => event.preventDefault(),
    ...props,
  }, ...(keyName ? [el("kbd", {}, keyName.toUpperCase())] : []), el("span", {}, text));
}

// What a person has chosen stays over batches and reloads, where the browser keeps anything.
function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`desk-${name}`) ?? "null") ?? otherwise;
  } catch { return otherwise; }
}

function remember(name, value) {
  try {
    localStorage.setItem(`desk-${name}`, JSON.stringify(value));
  } catch { /* it stays until the page goes */ }
}

function createHelp(isWall) {
  const keys = [
    ["0 – 9", "label with that key's class"], ["[  ]", "put other classes on the keys"],
    ["/ or L", "class list: type to find a class, or to add one"],
    ...(isWall ? [["Click, Space, X or Backspace", "take out, or put back"]]
      : [["Space or S", "skip"]]),
    ...(isWall ? [] : [["Q, N, X", "skip: unsure, none of these, bad picture"],
      ["Backspace", "clear the label"], ["Enter", "hand in the batch"], ["W", "why this image"]]),
    ["U or Ctrl+Z", "undo, also across batches"], ["Ctrl+Y", "redo"],
    ["Arrows, Home, End", "move"], ["Shift+arrows, Ctrl+A", "select many"],
    ["Drag, Shift or Ctrl+click", "select many"], ["Esc", "select one, or leave the large picture"],
    ["+  −", "larger or smaller pictures"], ["Z", "enlarge the current image"],
    ["F", "one at a time, large"],
    ["Wheel, +  −", "in the large picture: zoom; drag or Shift+arrows to move it"],
    ["B", "brighten dark pictures"], ["?", "show or hide these keys"],
  ];
  return el("dl", { className: "help", hidden: true }, ...keys.map(([key, text]) =>
    el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, text))));
}
