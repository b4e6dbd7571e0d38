// @ts-check
// A wall of pictures, each with its lines below; nothing on it is clicked.

export default function ({ data, parentElement }) {
  const { address, pictures, captions } = data;
  const shared = captions[0]?.map((_, row) => sharedStart(captions.map((lines) => lines[row] ?? "")));
  const figures = pictures.map((picture, i) => {
    const [lines, text] = [captions[i], captions[i].join(", ")];
    const box = createPicture(address, picture);
    box.firstChild.alt = text;
    return el("figure", { title: text }, box,
      el("figcaption", {}, ...lines.map((line, row) =>
        el("span", {}, shortened(line, shared[row] ?? 0)))));
  });
  parentElement.querySelector(".wall")?.remove();
  parentElement.append(el("div", { className: "wall" }, ...figures));
}

const LONGEST = 42; // characters, three lines

// How many characters all of these begin with.
function sharedStart(lines) {
  const differs = [...lines[0]].findIndex((_, i) => lines.some((line) => line[i] !== lines[0][i]));
  return differs < 0 ? lines[0].length : differs;
}

// The part of a long line in which it differs from the others, or its end: paths begin alike.
function shortened(line, shared) {
  const from = Math.max(0, Math.min(shared - LONGEST / 3, line.length - LONGEST));
  const part = line.slice(from, from + LONGEST);
  return `${from ? "…" : ""}${part}${from + LONGEST < line.length ? "…" : ""}`;
}
