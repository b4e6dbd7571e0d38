// @ts-check
// A picture that is asked for by HTTP, of the grid and of the wall: part of the module of each.

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children); // strings become text nodes: a class name is never markup
  return node;
}

const CRISP = 64; // pixels of the longer side; a smaller picture is made of squares, not blurred

const TOGETHER = 100; // small pictures in one request

const asked = new Map(); // address -> [name, answer] of the small pictures that this moment asks for

// The `data:` address of a small picture: those that are asked for in one moment come together, since
// a request takes longer than they do. Empty where it must be asked for by itself.
function askTogether(address, name) {
  return new Promise((answer) => {
    if (!asked.has(address)) {
      asked.set(address, []);
      queueMicrotask(() => {
        const all = asked.get(address);
        asked.delete(address);
        while (all.length) answerTogether(address, all.splice(0, TOGETHER));
      });
    }
    asked.get(address).push([name, answer]);
  });
}

async function answerTogether(address, group) {
  let found = [];
  try {
    await globalThis.deskTicket?.promise; // the cookie without which nothing is shown
    const answer = await fetch(address + group.map(([name]) => name).join(","));
    if (answer.ok) found = await answer.json();
  } catch { /* each of them is asked for again while the server is away */ }
  group.forEach(([, answer], i) => answer(found[i] ?? ""));
}

// A picture in a square, whole and in its own shape. It is asked for again while the server is away.
function createPicture(address, [name, width, height, data], size = "thumbnail") {
  const image = new Image();
  let waited = 250; // milliseconds
  const isSmall = Math.max(width, height) <= CRISP;
  let first = (isSmall || data) && size === "thumbnail";
  const ask = async () => {
    const found = first && (data || await askTogether(address, name));
    first = false;
    if (!found) await globalThis.deskTicket?.promise;
    image.src = found || `${address}${name}/${size}`;
  };
  image.onerror = () => {
    setTimeout(ask, waited);
    waited = Math.min(2 * waited, 10_000);
    image.removeAttribute("src");
  };
  Object.assign(image, { alt: "", draggable: false, decoding: "async" });
  image.style.setProperty("--ratio", String(width / height));
  image.classList.toggle("crisp", isSmall);
  ask();
  return el("div", { className: "picture" }, image);
}
