// @ts-check
// The elements that the labelling grid is made of, beside its pictures (widgets/picture.js). Part of
// one module with label_grid.js.

const PAGE = 10; // as many classes as there are digits

// A text that has not changed is not announced again.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// The classes on the digit keys: one button each, ten at a time.
function createLegend(command, choose, turn) {
  const node = el("div", { className: "legend", role: "group", ariaLabel: "Classes" });
  let drawn = "";

  function build(classes, shown, page) {
    const [from, pages] = [page * PAGE, Math.ceil(shown.length / PAGE)];
    const keys = shown.slice(from, from + PAGE).map((code, digit) =>
      command(digit, classes[code], () => choose(code), { title: classes[code] }));
    const pager = pages < 2 ? [] : [el("span", { className: "pager" },
      command("[", "", () => turn(-1), { ariaLabel: "Previous classes" }),
      `${page + 1} of ${pages}`,
      command("]", "", () => turn(1), { ariaLabel: "Next classes" }))];
    node.replaceChildren(...keys, ...pager);
  }

  function paint(classes, shown, page, label) {
    const looks = JSON.stringify([page, classes, shown]);
    if (looks !== drawn) build(classes, shown, page);
    drawn = looks;
    node.querySelectorAll(":scope > button").forEach((button, digit) => {
      button.ariaPressed = String(label === shown[page * PAGE + digit]);
    });
  }

  return { node, paint };
}

function createHelp() {
  const keys = [
    ["0 – 9", "label with that key's class"], ["[  ]", "put other classes on the keys"],
    ["Space or S", "skip"], ["Q, N, X", "skip: unsure, none of these, bad picture"], ["Backspace", "clear the label"],
    ["U or Ctrl+Z", "undo, also across batches"], ["Enter", "hand in the batch"],
    ["L or right-click", "class list; type there to find a class, or to add one"], ["Arrows, Home, End", "move"],
    ["Shift+arrows, Ctrl+A", "select many"], ["Drag, Shift or Ctrl+click", "select many"],
    ["Esc", "select one"], ["Z", "enlarge the current image"], ["W", "why this image"],
    ["?", "show or hide these keys"],
  ];
  return el("dl", { className: "help", hidden: true }, ...keys.map(([key, text]) =>
    el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, text))));
}

// Why the current image was chosen, and which labelled images are most similar.
function createWhyPanel(frame, current) {
  const panel = el("aside", { className: "why", hidden: true, ariaLabel: "Why this image",
    ariaLive: "polite" });
  let asking;

  function bar([code, prob], classes) {
    const width = `${Math.round(100 * prob)}%`;
    return el("div", { className: "prob" }, el("span", {}, classes[code]), el("b", {}, width),
      el("i", { style: `--share: ${width}` }));
  }

  function toggle() {
    panel.hidden = !panel.hidden;
    ask();
    return !panel.hidden;
  }

  // Asked once the person stays on a tile, not for each one that is passed.
  function ask() {
    clearTimeout(asking);
    if (panel.hidden) return;
    panel.classList.add("stale");
    asking = setTimeout(async () => {
      try {
        const { why, token } = frame();
        const answer = await fetch(`${why}${current()}?grid=${encodeURIComponent(token)}`);
        if (answer.ok) show(await answer.json(), frame());
      } catch { /* it is asked for again with the next tile */ }
    }, 120);
  }

  function show(why, { classes, address }) {
    if (why.image !== current()) return;
    panel.classList.remove("stale");
    panel.replaceChildren(
      el("h4", {}, "Why this image"), el("p", {}, why.chosen),
      el("h4", {}, "Prediction"),
      ...(why.top ? why.top.map((entry) => bar(entry, classes)) : [el("p", {}, why.hidden)]),
      ...(why.near.length ? [el("h4", {}, "Most similar, labelled")] : []),
      el("div", { className: "near" }, ...why.near.map((label, i) =>
        el("figure", {}, createPicture(address, why.pictures[i]),
          el("figcaption", {}, classes[label] ?? "")))));
  }

  return { panel, toggle, ask, stop: () => clearTimeout(asking) };
}
