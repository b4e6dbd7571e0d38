// @ts-check
// The elements that the labelling grid is made of. Part of one module with label_grid.js.

const PAGE = 10; // as many classes as there are digits

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children); // strings become text nodes: a class name is never markup
  return node;
}

// A text that has not changed is not announced again.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Show the pictures of a sheet, row by row, one in each element; returns a function that releases
// the sheet. Not one canvas each: Chromium would compose all of them again whenever a label is drawn.
function showPictures(elements, sheet, size) {
  const picture = new Image();
  const address = URL.createObjectURL(new Blob([sheet], { type: "image/webp" }));
  const place = (number, count) => `${count > 1 ? (100 * number) / (count - 1) : 0}%`;
  picture.onload = () => {
    const [columns, rows] = [picture.naturalWidth / size, picture.naturalHeight / size];
    elements.forEach(({ style }, i) => {
      style.backgroundImage = `url(${address})`;
      style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
      style.backgroundPosition =
        `${place(i % columns, columns)} ${place(Math.floor(i / columns), rows)}`;
    });
  };
  picture.src = address;
  return () => URL.revokeObjectURL(address);
}

// The classes on the digit keys: one button each, ten at a time.
function createLegend(command, choose, turn) {
  const node = el("div", { className: "legend", role: "group", ariaLabel: "Classes" });
  let drawn = "";

  function build(classes, page) {
    const [from, pages] = [page * PAGE, Math.ceil(classes.length / PAGE)];
    const keys = classes.slice(from, from + PAGE).map((name, digit) =>
      command(digit, name, () => choose(from + digit), { title: name }));
    const pager = pages < 2 ? [] : [el("span", { className: "pager" },
      command("[", "", () => turn(-1), { ariaLabel: "Previous classes" }),
      `${page + 1} of ${pages}`,
      command("]", "", () => turn(1), { ariaLabel: "Next classes" }))];
    node.replaceChildren(...keys, ...pager);
  }

  function paint(classes, page, label) {
    const looks = JSON.stringify([page, classes]);
    if (looks !== drawn) build(classes, page);
    drawn = looks;
    node.querySelectorAll(":scope > button").forEach((button, digit) => {
      button.ariaPressed = String(label === page * PAGE + digit);
    });
  }

  return { node, paint };
}

function createHelp() {
  const keys = [
    ["0 – 9", "label with that key's class"], ["[  ]", "put other classes on the keys"],
    ["Space or S", "skip"], ["Backspace", "clear the label"],
    ["U or Ctrl+Z", "undo, also across batches"], ["Enter", "hand in the batch"],
    ["L or right-click", "class list"], ["Arrows, Home, End", "move"],
    ["Shift+arrows, Ctrl+A", "select many"], ["Drag, Shift or Ctrl+click", "select many"],
    ["Esc", "select one"], ["Z", "enlarge the current image"], ["W", "why this image"],
    ["?", "show or hide these keys"],
  ];
  return el("dl", { className: "help", hidden: true }, ...keys.map(([key, text]) =>
    el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, text))));
}

// Why the current image was chosen, and which labelled images are most similar. `send` asks the
// server about an image, or about none.
function createWhyPanel(send, current) {
  const panel = el("aside", { className: "why", hidden: true, ariaLabel: "Why this image",
    ariaLive: "polite" });
  let letGo = () => {}; // releases the sheet of pictures
  let asking;

  function bar([code, prob], classes) {
    const width = `${Math.round(100 * prob)}%`;
    return el("div", { className: "prob" }, el("span", {}, classes[code]), el("b", {}, width),
      el("i", { style: `--share: ${width}` }));
  }

  function toggle() {
    panel.hidden = !panel.hidden;
    if (panel.hidden) send(null);
    else ask();
    return !panel.hidden;
  }

  // Asked once the person stays on a tile, not for each one that is passed.
  function ask() {
    if (panel.hidden) return;
    clearTimeout(asking);
    panel.classList.add("stale");
    asking = setTimeout(() => send(current()), 120);
  }

  function show(why, classes) {
    if (!why || why.image !== current()) {
      panel.classList.add("stale");
      return;
    }
    panel.classList.remove("stale");
    const pictures = why.near.map(() => el("div", { className: "picture" }));
    panel.replaceChildren(
      el("h4", {}, "Why this image"), el("p", {}, why.chosen),
      el("h4", {}, "Prediction"),
      ...(why.top ? why.top.map((entry) => bar(entry, classes)) : [el("p", {}, why.hidden)]),
      ...(why.near.length ? [el("h4", {}, "Most similar, labelled")] : []),
      el("div", { className: "near" }, ...why.near.map((label, i) =>
        el("figure", {}, pictures[i], el("figcaption", {}, classes[label] ?? "")))));
    if (why.near.length) {
      const sheet = Uint8Array.from(atob(why.sheet), (char) => char.charCodeAt(0));
      letGo();
      letGo = showPictures(pictures, sheet, why.size);
    }
  }

  return { panel, show, toggle, ask, stop: () => clearTimeout(asking) };
}
