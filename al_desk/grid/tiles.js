// @ts-check
// A frame, which does not change while a batch is labelled, and the tiles that are made from it.

function createTile({ address, pictures, images, classes, truths }, i, onmouseenter) {
  return el("div", {
    className: "tile", role: "gridcell", ariaHasPopup: "listbox", ariaExpanded: "false",
    "data-testid": "tile", "data-image": images[i], onmouseenter,
  }, createPicture(address, pictures[i]), el("div", { className: "name" }),
  el("div", { className: "guess" }), ...(truths[i] === null ? [] : [
    el("div", { className: "truth" }, `Truth: ${classes[truths[i]]}`)]));
}

// The model's guess, as far as the person may see it: blind first, unless the setting says otherwise.
function guessText(guess, code, showGuess, classes) {
  const hidden = code in SKIPS || (code === OPEN && !showGuess);
  if (!guess || hidden || guess[0] === code) return "";
  return `${code === OPEN ? "" : "≠ "}${classes[guess[0]]} · ${guess[1]}%`;
}

function paintTile(tile, i, { classes, guesses }, { code, showGuess, count, isCurrent, isSelected }) {
  const guess = guessText(guesses[i], code, showGuess, classes);
  const looks = JSON.stringify([code, guess, isCurrent, isSelected]);
  if (tile.looks === looks) return;
  tile.looks = looks;
  // A class that was typed just now is its name, until the server has given it a number.
  const isName = typeof code === "string";
  const text = isName ? code : SKIPS[code] ?? classes[code] ?? "";
  const isSkipped = !isName && code in SKIPS;
  tile.dataset.label = isSkipped ? "" : text;
  if (isSkipped) tile.dataset.skipped = "true";
  else delete tile.dataset.skipped;
  const [, name, mark] = tile.children;
  name.textContent = name.title = text;
  mark.textContent = guess;
  const prediction = guess.replace("≠ ", "");
  mark.title = guess && `Prediction: ${prediction}`;
  tile.classList.toggle("current", isCurrent);
  tile.ariaSelected = String(isSelected);
  tile.tabIndex = isCurrent ? 0 : -1;
  tile.ariaLabel = `Image ${i + 1} of ${count}, ${text || "not labelled yet"}`
    + (guess && `, prediction ${prediction}`);
}

// Fit the root to the tiles of a frame: small pictures are scaled by whole numbers, and long names
// get two lines.
function fitRoot(root, { pictures, classes, guesses }) {
  const wanted = 96; // pixels; twenty tiles fit on one screen
  const size = Math.max(...pictures.map(([, width, height]) => Math.max(width, height)));
  const factor = Math.max(1, Math.round(wanted / size));
  root.style.setProperty("--tile", `${size > wanted ? Math.min(size, 128) : size * factor}px`);
  root.classList.toggle("long", classes.some((name) => name.length > 14));
  root.classList.toggle("guessed", guesses.some((guess) => guess !== null));
}

// The place of the tile one row up (-1) or down (1) from that at `place`; `place` if there is none.
function tileInRow(tiles, place, direction) {
  const columns = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
  const [last, target] = [tiles.length - 1, place + direction * columns];
  // From above a short last row, down leads to the end of that row.
  const short = Math.floor(last / columns) > Math.floor(place / columns);
  return tiles[target] || (target > last && short) ? Math.min(target, last) : place;
}
