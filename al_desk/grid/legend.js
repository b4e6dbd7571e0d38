// @ts-check
// Which class is on which key, and the classes above the pictures, ten at a time. Part of one module
// with label_grid.js.

const DIGITS = [..."1234567890"];

// The pages of classes, each of pairs of a key and a class. A key that somebody gave a class is its own on
// all of them. On the first, a class whose name is a digit has that one; the others follow in their
// order, from 1 to 9, and 0.
function pagesOf({ classes, shown, keys }) {
  const place = new Map(shown.map((code, i) => [code, i]));
  const own = shown.filter((code) => keys[code]).map((code) => [keys[code], code]);
  const free = DIGITS.filter((digit) => own.every(([key]) => key !== digit));
  const rest = shown.filter((code) => !keys[code]);
  const named = rest.filter((code) => free.includes(classes[code])).map((code) => [classes[code], code]);
  const others = rest.filter((code) => named.every(([, one]) => one !== code));
  const pages = [];
  for (let fixed = [...own, ...named], digits; ; fixed = own) {
    digits = free.filter((digit) => fixed.every(([key]) => key !== digit));
    const put = others.splice(0, digits.length).map((code, i) => [digits[i], code]);
    pages.push([...fixed, ...put].sort(([, a], [, b]) => place.get(a) - place.get(b)));
    if (!others.length || !free.length) return pages;
  }
}

// The classes of an experiment on the keys; the page stays over batches and reloads.
function createLegend(choose) {
  const buttons = el("div", { className: "classes", role: "group", ariaLabel: "Classes" });
  const pager = el("span", { className: "pager" });
  const node = el("div", { className: "legend" }, buttons, pager);
  /** @type {[string, number][][]} */
  let pages = [[]];
  let page = 0;
  let experiment, classes, painted; // whose page is remembered; the label of the current tile
  let drawn;

  function take(frame) {
    const looks = JSON.stringify([frame.classes, frame.shown, frame.keys]);
    if (looks === drawn) return;
    drawn = looks;
    ({ experiment, classes } = frame);
    pages = pagesOf(frame);
    page = Math.min(recall(`classes-${experiment}`, 0), pages.length - 1);
    build();
  }

  function build() {
    buttons.replaceChildren(...pages[page].map(([key, code]) =>
      command(key, classes[code], () => choose(code), { title: classes[code], value: code })));
    pager.replaceChildren(...(pages.length < 2 ? [] : [
      command("[", "", () => turn(-1), { ariaLabel: "Previous classes" }),
      `${page + 1} of ${pages.length}`,
      command("]", "", () => turn(1), { ariaLabel: "Next classes" })]));
  }

  function turn(step) {
    page = (page + step + pages.length) % pages.length;
    remember(`classes-${experiment}`, page);
    build();
    paint(painted);
  }

  function paint(label) {
    painted = label;
    for (const button of buttons.children) button.ariaPressed = String(String(label) === button.value);
  }

  return {
    node, take, turn, paint,
    // The class on a key of this page, and the keys of the classes on it.
    on: (key) => pages[page].find(([one]) => one === key)?.[1],
    keys: () => new Map(pages[page].map(([key, code]) => [code, key])),
  };
}
