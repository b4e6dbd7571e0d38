// @ts-check
// The current picture, large, beside the others. Part of one module with label_grid.js.

function createLarge(root, frame, current, tile) {
  const node = el("div", { className: "large", "data-testid": "large" });
  let drawn; // the place of the picture that is shown

  function paint() {
    const wanted = root.classList.contains("zoom") ? current() : undefined;
    if (drawn === wanted) return;
    drawn = wanted;
    const { address, pictures } = frame();
    node.replaceChildren(
      ...(wanted === undefined ? [] : [createPicture(address, pictures[wanted], "original")]));
  }

  function toggle() {
    const isLarge = root.classList.toggle("zoom");
    paint();
    (isLarge ? node : tile()).scrollIntoView({ block: isLarge ? "start" : "nearest" });
  }

  return { node, paint, toggle };
}
