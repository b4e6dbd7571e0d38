// @ts-check
// Above the pictures: progress, problems, the buttons, the classes. Part of one module with
// label_grid.js.

function createHead(legend, acts, sizes, light) {
  const { give, undo, handIn, toggleWhy, enlarge, sendAgain, isWall } = acts;
  const progress = el("span", { className: "progress", role: "status" });
  const saved = el("span", { className: "saved" });
  const help = createHelp(isWall);
  const handInButton = el("button", { type: "button", className: "primary", onclick: handIn },
    "Hand in batch", el("kbd", {}, "↵"));
  const whyButton = command("w", "Why", pressWhy, { ariaPressed: "false" });
  const helpButton = command("?", "Keys", toggleHelp, { className: "keys", ariaExpanded: "false" });
  const problem = el("span", { role: "alert" });
  const saveAgain = el("button", { type: "button", onclick: sendAgain }, "Save again");
  const problemBar = el("div", { className: "problem", hidden: true }, problem, saveAgain);
  const node = el("div", { className: "head" },
    el("div", { className: "bar" }, progress, saved,
      ...(isWall ? [] : [command("s", "Skip", () => give(SKIP))]), command("u", "Undo", undo),
      whyButton, command("z", "Enlarge", enlarge), helpButton, handInButton),
    problemBar, el("div", { className: "below" }, legend.node, sizes), light, help);

  function pressWhy() {
    whyButton.ariaPressed = String(toggleWhy());
  }

  function toggleHelp() {
    help.hidden = !help.hidden;
    helpButton.ariaExpanded = String(!help.hidden);
  }

  let reminder = ""; // in place of the progress, until the person does something
  const remind = (text) => { reminder = text; };

  function paint({ labels, selected, onDisk, isSaved, isReview, isWaiting, isWall, label }) {
    const total = labels.length;
    const skipped = labels.filter(isAside).length;
    const done = labels.filter((code) => code !== OPEN).length - skipped;
    const rest = done === total ? "All labelled" : done + skipped === total ? "None left open" : "";
    write(progress, reminder || (selected ? `${selected} selected`
      : isWall ? `${total} shown, ${done + skipped} of them left out`
      : `${done} of ${total} labelled${skipped ? `, ${skipped} skipped` : ""}${rest && `. ${rest}`}`));
    write(saved, !isSaved ? `${onDisk} saved, saving…`
      : isReview ? "Saved" : `${onDisk} of ${total} saved`);
    handInButton.hidden = whyButton.hidden = isReview;
    handInButton.ariaDisabled = String(rest === "" || isWaiting);
    legend.paint(label);
  }

  function paintProblem(refusal, cause) {
    write(problem, refusal || (cause && `Not saved yet: ${cause} Your labels are kept here.`));
    saveAgain.hidden = !cause;
    problemBar.hidden = problem.textContent === "";
  }

  return { node, remind, paint, paintProblem, pressWhy, toggleHelp };
}
