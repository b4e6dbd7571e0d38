// @ts-check
// Keys, wherever the focus is, unless the person is typing into something else.

const TYPING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const DIALOG = '[role="dialog"]';
const CONTROL = "a, button, summary, input, [role]";

// What a key means on any keyboard layout: a name, a digit, a lower-case letter; "" for nothing.
function keyName(event) {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // Many layouts type brackets with AltGr, which is reported as Ctrl+Alt.
  if (event.getModifierState("AltGraph")) return "[]".includes(name) ? name : "";
  if (event.altKey) return "";
  if (event.ctrlKey || event.metaKey) return event.shiftKey ? "" : `Ctrl+${name.toUpperCase()}`;
  // The digit row of a French keyboard types "&é" and so on unless shifted.
  const digit = !event.shiftKey && !/^[a-z?[\]]$/.test(name) && /^Digit(\d)$/.exec(event.code);
  return digit ? digit[1] : name;
}

// Streamlit opens a dialog when its server is away, and closes it slowly when that is back. It does
// not count: labels typed meanwhile are kept.
const ofServer = new WeakSet();
const noteDialogs = new MutationObserver(() => {
  const app = document.querySelector("[data-test-connection-state]");
  if (!app || app.getAttribute("data-test-connection-state") === "CONNECTED") return;
  for (const dialog of document.querySelectorAll(DIALOG)) ofServer.add(dialog);
});

// The person is typing into something else, or has a dialog open.
function busyElsewhere(node) {
  const dialogs = [...document.querySelectorAll(DIALOG)];
  return node?.closest(TYPING) || dialogs.some((dialog) => !ofServer.has(dialog));
}

// `keys.moves` give the next tile, `keys.edits` apply unless a control has the focus, and
// `keys.commands` always apply.
function listenToKeys(root, keys) {
  function actionFor(event, onControl) {
    const name = keyName(event);
    if (/^\d$/.test(name)) return () => keys.digit(Number(name));
    if (keys.commands[name]) return keys.commands[name];
    if (onControl) return undefined;
    const move = keys.moves[name];
    return move ? () => keys.move(move(), event.shiftKey) : keys.edits[name];
  }

  function onKey(event) {
    if (event.isComposing || !keys.wanted(event)) return;
    const target = event.composedPath()[0];
    const inside = root.contains(target);
    if (!inside && busyElsewhere(target)) return;
    const onControl = target.matches(inside ? "button" : CONTROL) && !target.matches(DIALOG);
    const action = actionFor(event, onControl);
    if (!action) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Streamlit's own shortcuts listen on the document, too
    // A key that is held down moves on, but does not label the rest of the batch.
    if (!event.repeat || keys.moves[event.key]) action();
  }

  // What lies over the page takes the keys, and once it is closed its button would; they belong to
  // the tile, or else the next Space opens it again.
  for (const closing of ["keydown", "click"]) {
    document.addEventListener(closing, (event) => {
      if (!keys.wanted(event) || !busyElsewhere(document.body)) return;
      setTimeout(() => busyElsewhere(document.activeElement) || keys.focus());
    }, { capture: true, signal: keys.signal });
  }
  document.addEventListener("keydown", onKey, { capture: true, signal: keys.signal });
  noteDialogs.observe(document.body, { childList: true, subtree: true });
}
