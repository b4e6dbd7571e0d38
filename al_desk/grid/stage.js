// @ts-check
// One picture, as large as fits or nearer: by wheel, pinch, double-click and keys; dragged about. Part
// of one module with label_grid.js.

const NEAREST = 8; // pixels of the screen for one of the picture, at least as near as this

function createStage(told) {
  const node = el("div", { className: "stage" });
  const fingers = new Map(); // pointers that are down -> where
  let [width, height] = [1, 1]; // of the picture, in its own pixels
  let [scale, x, y] = [1, 0, 0]; // pixels of the page for one of the picture; where its corner is
  let isFitted = true;

  function fitting() {
    const fits = Math.min(node.clientWidth / width, node.clientHeight / height);
    return Math.max(width, height) <= CRISP && fits > 1 ? Math.floor(fits) : fits;
  }

  function show(address, picture, ready) {
    [, width, height] = picture;
    isFitted = true;
    // The small one at once, and over it the original once it is there.
    const layers = ["thumbnail", "original"].map((size) =>
      createPicture(address, picture, size).firstElementChild);
    for (const layer of layers) {
      Object.assign(layer.style, { width: `${width}px`, height: `${height}px` });
    }
    const [small, original] = layers;
    original.style.visibility = "hidden";
    original.addEventListener("load", async () => {
      await original.decode().catch(() => {});
      original.style.visibility = "";
      small.style.visibility = "hidden";
      ready();
    });
    node.replaceChildren(...layers);
    place();
  }

  const clear = () => node.replaceChildren();

  // What is smaller than the stage is in its middle; what is larger leaves no gap.
  function place() {
    if (!node.clientWidth) return;
    if (isFitted) scale = fitting();
    const within = (at, long, room) =>
      (long <= room ? (room - long) / 2 : Math.max(room - long, Math.min(at, 0)));
    x = within(x, width * scale, node.clientWidth);
    y = within(y, height * scale, node.clientHeight);
    for (const layer of node.children) layer.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    node.classList.toggle("zoomed", !isFitted);
    told(scale * devicePixelRatio);
  }

  // Nearer or farther, about a point of the stage; 1:1 is not stepped over.
  function zoom(by, atX = node.clientWidth / 2, atY = node.clientHeight / 2, isStep = false) {
    const [fits, whole] = [fitting(), 1 / devicePixelRatio];
    let next = Math.max(fits, Math.min(scale * by, Math.max(NEAREST * whole, 4 * fits)));
    if (isStep && (scale - whole) * (next - whole) < 0) next = whole;
    if (next === scale) return false;
    [x, y] = [atX - ((atX - x) * next) / scale, atY - ((atY - y) * next) / scale];
    [scale, isFitted] = [next, next === fits];
    place();
    return true;
  }

  function pan(byX, byY) {
    if (isFitted) return false;
    [x, y] = [x + byX * node.clientWidth, y + byY * node.clientHeight];
    place();
    return true;
  }

  const at = (event) => {
    const { left, top } = node.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };

  node.addEventListener("wheel", (event) => {
    // Touchpads report a pinch as a wheel with Ctrl. Where nothing changes, the page scrolls.
    const by = Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002));
    if (zoom(by, ...at(event)) || event.ctrlKey || !isFitted) event.preventDefault();
  }, { passive: false });
  node.addEventListener("dblclick", (event) => {
    const whole = 1 / devicePixelRatio;
    const [atX, atY] = at(event);
    zoom(isFitted ? Math.max(whole / scale, 2) : fitting() / scale, atX, atY);
  });
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, at(event));
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [was, now] = [[...fingers.values()], at(event)];
    fingers.set(event.pointerId, now);
    if (fingers.size === 2) {
      const apart = (two) => Math.hypot(two[0][0] - two[1][0], two[0][1] - two[1][1]) || 1;
      const is = [...fingers.values()];
      zoom(apart(is) / apart(was), (is[0][0] + is[1][0]) / 2, (is[0][1] + is[1][1]) / 2);
    } else if (!isFitted) {
      [x, y] = [x + now[0] - before[0], y + now[1] - before[1]];
      place();
    }
  });
  node.addEventListener("lostpointercapture", (event) => fingers.delete(event.pointerId));
  const watch = new ResizeObserver(place);
  watch.observe(node);

  return {
    node, show, clear, pan,
    step: (direction) => zoom(Math.SQRT2 ** direction, undefined, undefined, true),
    stop: () => watch.disconnect(),
  };
}
