// @ts-check
// Above the pictures: progress, problems, the buttons, the classes. Part of one module with
// label_grid.js.

// A button that leaves the focus where it is, on a tile; each has its own key.
function command(keyName, text, run, props = {}) {
  return el("button", {
    type: "button", tabIndex: -1, onclick: run, onmousedown: (event) => event.preventDefault(),
    ...props,
  }, el("kbd", {}, String(keyName)), el("span", {}, text));
}

function createHead({ give, undo, handIn, turn, toggleWhy, sendAgain }) {
  const progress = el("span", { className: "progress", role: "status" });
  const saved = el("span", { className: "saved" });
  const legend = createLegend(command, (code) => give(code), turn);
  const help = createHelp();
  const handInButton = el("button", { type: "button", className: "primary", onclick: handIn },
    "Hand in batch", el("kbd", {}, "↵"));
  const whyButton = command("W", "Why", pressWhy, { ariaPressed: "false" });
  const helpButton = command("?", "Keys", toggleHelp, { className: "keys", ariaExpanded: "false" });
  const problem = el("span", { role: "alert" });
  const saveAgain = el("button", { type: "button", onclick: sendAgain }, "Save again");
  const problemBar = el("div", { className: "problem", hidden: true }, problem, saveAgain);
  const node = el("div", { className: "head" },
    el("div", { className: "bar" }, progress, saved, command("S", "Skip", () => give(SKIP)),
      command("U", "Undo", undo), whyButton, helpButton, handInButton),
    problemBar, legend.node, help);

  function pressWhy() {
    whyButton.ariaPressed = String(toggleWhy());
  }

  function toggleHelp() {
    help.hidden = !help.hidden;
    helpButton.ariaExpanded = String(!help.hidden);
  }

  let reminder = ""; // in place of the progress, until the person does something
  const remind = (text) => { reminder = text; };

  function paint({ labels, selected, onDisk, isSaved, isReview, isWaiting, classes, shown, page,
    label }) {
    const total = labels.length;
    const skipped = labels.filter((code) => typeof code !== "string" && code in SKIPS).length;
    const done = labels.filter((code) => code !== OPEN).length - skipped;
    const rest = done === total ? "All labelled" : done + skipped === total ? "None left open" : "";
    write(progress, reminder || (selected ? `${selected} selected`
      : `${done} of ${total} labelled${skipped ? `, ${skipped} skipped` : ""}${rest && `. ${rest}`}`));
    write(saved, !isSaved ? `${onDisk} saved, saving…`
      : isReview ? "Saved" : `${onDisk} of ${total} saved`);
    handInButton.hidden = whyButton.hidden = isReview;
    handInButton.ariaDisabled = String(rest === "" || isWaiting);
    legend.paint(classes, shown, page, label);
  }

  function paintProblem(refusal, cause) {
    write(problem, refusal || (cause && `Not saved yet: ${cause} Your labels are kept here.`));
    saveAgain.hidden = !cause;
    problemBar.hidden = problem.textContent === "";
  }

  return { node, remind, paint, paintProblem, pressWhy, toggleHelp };
}
