// @ts-check
// The tiles that are made from a frame, which does not change while a batch is labelled. Part of one
// module with label_grid.js.

function createTile({ address, pictures, images, names, classes, truths }, i, onmouseenter) {
  const picture = createPicture(address, pictures[i]);
  picture.title = names[i] ?? "";
  return el("div", {
    className: "tile", role: "gridcell", ariaHasPopup: "listbox", ariaExpanded: "false",
    "data-testid": "tile", "data-image": images[i], onmouseenter,
  }, picture, createSelector(), el("div", { className: "guess" }), ...(truths[i] === null ? [] : [
    el("div", { className: "truth" }, `Truth: ${classes[truths[i]]}`)]));
}

// What opens the class list by a press of the mouse: it says the label, if there is one.
function createSelector() {
  return el("button", {
    className: "name", type: "button", tabIndex: -1, ariaHasPopup: "listbox",
    onmousedown: (event) => event.preventDefault(),
  }, el("span"));
}

// Skipped, or taken out.
const isAside = (code) => typeof code !== "string" && (code in SKIPS || code === OUT);

// A class that was typed just now is its name, until the server has given it a number.
function labelText(code, classes) {
  return typeof code === "string" ? code : isAside(code) ? SKIPS[code] ?? "Taken out" : classes[code] ?? "";
}

// The model's guess, as far as the person may see it: blind first, unless the setting says otherwise.
function guessText(guess, code, showGuess, classes) {
  const hidden = isAside(code) || (code === OPEN && !showGuess);
  if (!guess || hidden || guess[0] === code) return "";
  return `${code === OPEN ? "" : "≠ "}${classes[guess[0]]} · ${guess[1]}%`;
}

function paintSelector(button, text) {
  write(button.firstChild, text || "Label");
  button.title = text;
}

function paintTile(tile, i, { classes, guesses }, { code, showGuess, count, isCurrent, isSelected }) {
  const guess = guessText(guesses[i], code, showGuess, classes);
  const looks = JSON.stringify([code, guess, isCurrent, isSelected]);
  if (tile.looks === looks) return;
  tile.looks = looks;
  const text = labelText(code, classes);
  const isSkipped = isAside(code);
  tile.dataset.label = isSkipped ? "" : text;
  if (isSkipped) tile.dataset.skipped = "true";
  else delete tile.dataset.skipped;
  const [, selector, mark] = tile.children;
  paintSelector(selector, text);
  mark.textContent = guess;
  const prediction = guess.replace("≠ ", "");
  mark.title = guess && `Prediction: ${prediction}`;
  tile.classList.toggle("current", isCurrent);
  tile.ariaSelected = String(isSelected);
  tile.tabIndex = isCurrent ? 0 : -1;
  tile.ariaLabel = `Image ${i + 1} of ${count}, ${text || "not labelled yet"}`
    + (guess && `, prediction ${prediction}`);
}
