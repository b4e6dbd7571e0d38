// @ts-check
// Why the current image was chosen, and which labelled images are most similar. Part of one module
// with label_grid.js.

function createWhyPanel(root, frame, current) {
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
    root.classList.toggle("explained", !panel.hidden);
    ask();
    return !panel.hidden;
  }

  // Asked once the person stays on a tile, not for each one that is passed.
  function ask() {
    clearTimeout(asking);
    if (panel.hidden) return;
    panel.classList.add("stale");
    if (current() < 0) return;
    asking = setTimeout(async () => {
      try {
        const { why, token, images } = frame();
        const image = images[current()];
        const answer = await fetch(`${why}${image}?grid=${encodeURIComponent(token)}`);
        if (answer.ok) show(await answer.json(), frame());
      } catch { /* it is asked for again with the next tile */ }
    }, 120);
  }

  function show(why, { classes, address, images, names }) {
    if (why.image !== images[current()]) return;
    panel.classList.remove("stale");
    panel.replaceChildren(
      el("h4", {}, "Why this image"), el("p", { className: "file" }, names[current()] ?? ""),
      el("p", {}, why.chosen),
      el("h4", {}, "Prediction"),
      ...(why.top ? why.top.map((entry) => bar(entry, classes)) : [el("p", {}, why.hidden)]),
      ...(why.near.length ? [el("h4", {}, "Most similar, labelled")] : []),
      el("div", { className: "near" }, ...why.near.map((label, i) =>
        el("figure", {}, createPicture(address, why.pictures[i]),
          el("figcaption", {}, classes[label] ?? "")))));
  }

  return { panel, toggle, ask, stop: () => clearTimeout(asking) };
}
