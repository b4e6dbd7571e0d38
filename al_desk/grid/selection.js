// @ts-check
// Which tiles are selected: by click, shift-click, drag and keyboard. Part of one module with
// label_grid.js.

const DRAG = 5; // pixels that a pointer moves before it drags

// `grid` gives tiles() and current(), moves the current tile, is told of changes, opens the class
// list, and enlarges the current tile. A click may do something by itself: pressed() says so. An empty
// selection means the current tile.
function createSelection(area, grid) {
  const chosen = new Set();
  let anchor = 0; // where a range begins
  /** @type {{from: number[], before: number[]}?} */
  let drag = null; // where a drag began, and what was selected before it
  let dragged = false; // the click that ends a drag selects nothing

  const box = el("div", { className: "box" });

  const range = (from, to) => {
    const [low, high] = from < to ? [from, to] : [to, from];
    return Array.from({ length: high - low + 1 }, (_, i) => low + i);
  };

  function choose(positions, current) {
    chosen.clear();
    for (const i of positions) chosen.add(i);
    grid.move(current);
    grid.changed();
  }

  function clear(next) {
    anchor = next;
    if (!chosen.size) return;
    chosen.clear();
    grid.changed();
  }

  const extend = (to) => choose(range(anchor, to), to);
  const selectAll = () => choose(grid.tiles().keys(), grid.current());

  function place(event) {
    const { left, top } = area.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  function onClick(event) {
    const i = grid.tiles().findIndex((tile) => tile.contains(event.target));
    if (dragged || i < 0) return;
    if (event.target.closest(".name")) onMenu(event);
    else if (event.shiftKey) extend(i);
    else if (event.ctrlKey || event.metaKey) {
      if (!chosen.size && grid.current() >= 0) chosen.add(anchor);
      if (!chosen.delete(i)) chosen.add(i);
      choose([...chosen], i);
    } else {
      clear(i);
      grid.move(i);
      if (!grid.pressed(i) && event.pointerType === "touch") grid.open();
    }
  }

  function onMenu(event) {
    const i = grid.tiles().findIndex((tile) => tile.contains(event.target));
    if (i < 0) return;
    event.preventDefault();
    if (!chosen.has(i)) clear(i);
    grid.move(i);
    grid.open();
  }

  function onDown(event) {
    dragged = false;
    if (event.button !== 0 || event.pointerType === "touch") return;
    drag = { from: place(event), before: event.shiftKey || event.ctrlKey ? [...chosen] : [] };
  }

  function onMove(event) {
    if (!drag) return;
    if (!(event.buttons & 1)) return onUp();
    const [[x, y], [toX, toY]] = [drag.from, place(event)];
    if (!dragged && Math.hypot(toX - x, toY - y) < DRAG) return;
    if (!dragged) area.append(box);
    dragged = true;
    const [left, right, top, bottom] = [
      Math.min(x, toX), Math.max(x, toX), Math.min(y, toY), Math.max(y, toY)];
    Object.assign(box.style, {
      left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    const hit = [...grid.tiles().keys()].filter((i) => {
      const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = grid.tiles()[i];
      return offsetLeft < right && offsetLeft + offsetWidth > left
        && offsetTop < bottom && offsetTop + offsetHeight > top;
    });
    const all = [...new Set([...drag.before, ...hit])].sort((a, b) => a - b);
    if (all.length !== chosen.size || all.some((i) => !chosen.has(i))) {
      chosen.clear();
      for (const i of all) chosen.add(i);
      if (hit.length) anchor = hit[0];
      grid.changed();
    }
  }

  function onUp() {
    if (drag && dragged && chosen.size) grid.move(anchor);
    drag = null;
    box.remove();
    setTimeout(() => { dragged = false; }); // after the click that ends it
  }

  area.addEventListener("click", onClick);
  area.addEventListener("dblclick", (event) =>
    event.target.closest(".tile .picture") && event.pointerType !== "touch" && grid.enlarge());
  area.addEventListener("contextmenu", onMenu);
  area.addEventListener("pointerdown", onDown);
  document.addEventListener("pointermove", onMove, { signal: grid.signal });
  document.addEventListener("pointerup", onUp, { signal: grid.signal });

  return {
    clear, extend, selectAll,
    has: (i) => chosen.has(i),
    all: () => [...chosen].sort((a, b) => a - b),
    get size() { return chosen.size; },
  };
}
