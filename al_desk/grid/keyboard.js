// @ts-check
// Keys, wherever the focus is, unless the person is typing into something else. Part of one module
// with label_grid.js.

const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]";
const DIALOG = '[role="dialog"]';
const CONTROL = "a, button, summary, input, [role]";
const OWN_KEYS = 'input[type=range], [role="slider"], [role="grid"], canvas, [aria-expanded="true"]';

const PLACES = { BracketLeft: "[", BracketRight: "]", Slash: "/", Minus: "-", Equal: "+" };
let isForeign = recall("foreign", false); // the letter that came last is of a script that is not Latin

// What a key means on any keyboard layout: a name, a digit, a lower-case letter; "" for nothing.
function keyName(event) {
  // Many layouts type brackets with AltGr, which is reported as Ctrl+Alt, or with Option.
  const isAlt = event.getModifierState("AltGraph") || event.altKey;
  const name = byPlace(event, event.key.length === 1 ? event.key.toLowerCase() : event.key, isAlt);
  if (isAlt) {
    return name === "[" || name === "]" ? name : "";
  }
  if (event.ctrlKey || event.metaKey) {
    return `Ctrl+${event.shiftKey ? "Shift+" : ""}${name.toUpperCase()}`;
  }
  // The digit row of a French keyboard types "&é" and so on unless shifted.
  const digit = !event.shiftKey && !/^[a-z?[\]]$/.test(name) && /^Digit(\d)$/.exec(event.code);
  return digit ? digit[1] : name;
}

// Where letters are not Latin, a key means what stands at its place on an English keyboard.
function byPlace({ code, key, shiftKey }, name, isAlt) {
  const isText = name.length === 1 || /^[^\x00-\x7f]+$/.test(name); // Arabic has a key of two letters
  if (!isAlt && isText && /^\p{L}+$/u.test(name)) {
    const before = isForeign;
    isForeign = !/^\p{Script=Latin}+$/u.test(name);
    if (isForeign !== before) remember("foreign", isForeign);
  }
  const isComposed = key === "Process" || key === "Unidentified";
  if (!isComposed && !(isForeign && isText)) return name;
  const letter = /^Key([A-Z])$/.exec(code);
  if (letter) return letter[1].toLowerCase();
  return code === "Slash" && shiftKey ? "?" : PLACES[code] ?? name;
}

// A key of an input method, which in Safari is told by its number alone.
const isComposing = ({ isComposing, keyCode }) => isComposing || keyCode === 229;

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
// `keys.commands` always apply, as do the keys of classes.
function listenToKeys(root, keys) {
  function actionFor(event, onControl) {
    const name = keyName(event);
    if (keys.commands[name]) return keys.commands[name];
    if (keys.isOfClass(name)) return () => keys.label(name);
    if (onControl === "inside" && name === "Escape") return keys.focus;
    if (onControl) return undefined;
    const move = keys.moves[name];
    if (!move) return keys.edits[name];
    return () => (event.shiftKey && keys.pan(name)) || keys.move(move(), event.shiftKey);
  }

  function onKey(event) {
    if (event.isComposing || !keys.wanted(event)) return;
    const target = event.composedPath()[0];
    const inside = root.contains(target);
    if (!inside && busyElsewhere(target)) return;
    const onControl = target.matches(inside ? "button, input" : CONTROL) && !target.matches(DIALOG)
      && (inside ? "inside" : "elsewhere");
    const action = actionFor(event, onControl);
    if (!action) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Streamlit's own shortcuts listen on the document, too
    // A key that is held down moves on, but does not label the rest of the batch.
    if (!event.repeat || keys.moves[event.key]) action();
  }

  // Once a field is left by Enter, a list or a dialog is closed, or a toggle or a button is pressed with
  // the mouse, elsewhere on the page, keys belong to the tile again: or else what is typed next goes
  // there, and the next Space presses the button again. Who is there by Tab stays there.
  function giveBack(event) {
    if (isComposing(event) || !keys.isActive() || event.composedPath().includes(root)) return;
    const [target, wasBusy] = [event.composedPath()[0], busyElsewhere(document.body)];
    if (event.type === "keydown" && !wasBusy && !leavesField(event, target)) return;
    const settle = (left) => {
      const node = document.activeElement ?? document.body;
      if (!keys.isActive() || busyElsewhere(document.body)) return;
      // A list closes a moment after the choice; one from which several are chosen stays open.
      if (node.closest('[role="combobox"][aria-expanded="true"]') && left) {
        setTimeout(settle, 50, left - 1);
        return;
      }
      const isField = node.closest(TYPING) && !node.closest(OWN_KEYS);
      const isDone = event.type === "keydown" ? node === target
        : target.closest?.('[role="option"]') && node.getAttribute("role") === "combobox";
      if (wasBusy ? !node.closest(TYPING) : isField ? isDone : isPressed(node)) keys.focus();
    };
    setTimeout(settle, 0, 10);
  }

  const leavesField = ({ key, ctrlKey, metaKey }, target) => target.matches(TYPING)
    && (key === "Escape" || (key === "Enter" && (!target.matches("textarea") || ctrlKey || metaKey)));
  const isPressed = (node) => node !== document.body && !node.shadowRoot && node.matches(CONTROL)
    && !node.closest(OWN_KEYS);

  for (const name of ["keydown", "pointerup"]) {
    document.addEventListener(name, giveBack, { capture: true, signal: keys.signal });
  }
  document.addEventListener("keydown", onKey, { capture: true, signal: keys.signal });
  noteDialogs.observe(document.body, { childList: true, subtree: true });
}
