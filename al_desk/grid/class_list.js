// @ts-check
// The class list: a popup beside a tile with all classes, and Skip and Clear below them. A name that
// no class has is a new class. Part of one module with label_grid.js.

const FEW = 10; // classes that are listed in their order; of more, those that were given last come first
const DRAWN = 60; // entries at once: more are drawn as one gets there

// That a class of this name was given.
function noteGiven(experiment, name) {
  const before = recall(`recent-${experiment}`, []);
  if (before[0] === name) return;
  remember(`recent-${experiment}`, [name, ...before.filter((one) => one !== name)].slice(0, 50));
}

// `choose` is called with a label's code, or a new class's name; `closed` when the list closes without
// a choice.
function createClassList(root, choose, closed) {
  let anchor, entries, shown, label, following, recent;
  let at = 0; // the entry that Enter chooses
  let dismissed = 0; // when a click outside the list closed it

  const options = el("div", { id: "classes", role: "listbox", tabIndex: -1, ariaLabel: "Classes" });
  const filter = el("input", {
    className: "filter", type: "text", placeholder: "Find or add a class", maxLength: 200,
    autocomplete: "off", role: "combobox", ariaLabel: "Find or add a class", ariaExpanded: "true",
    "aria-controls": "classes", oninput: () => fill(),
  });
  // popover=auto: in the top layer, so nothing clips it; a click outside closes it.
  const box = el("div", { className: "list", popover: "auto" }, filter, options);
  box.addEventListener("beforetoggle", ({ newState }) => {
    anchor.ariaExpanded = String(newState === "open");
    if (newState === "open") return;
    dismissed = performance.now();
    following.abort();
  });
  // A click elsewhere closes it, and leaves the focus nowhere.
  box.addEventListener("toggle", ({ newState }) => {
    const isNowhere = !root.getRootNode().activeElement && document.activeElement === document.body;
    if (newState === "closed" && isNowhere) closed();
  });
  root.append(box);
  options.addEventListener("scroll", () => {
    if (options.scrollTop + 2 * options.clientHeight > options.scrollHeight) draw(DRAWN);
  }, { passive: true });

  // Without case, accents, or how those are composed.
  const folded = (name) => name.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const isNew = ({ code }) => typeof code === "string";
  const isOpen = () => box.matches(":popover-open");

  function open(tile, frame, code, keys) {
    // A click on the list's own tile dismisses it, and must not open it again.
    if (isOpen() || (tile === anchor && performance.now() - dismissed < 300)) return close();
    [anchor, label, following] = [tile, code, new AbortController()];
    enter(frame, keys);
    filter.value = "";
    box.showPopover();
    fill();
    const follow = { capture: true, passive: true, signal: following.signal };
    for (const name of ["scroll", "resize"]) window.addEventListener(name, place, follow);
    // On a touch screen, focusing a text field would bring up the keyboard over the list.
    const touch = matchMedia("(pointer: coarse)").matches;
    (touch ? options : filter).focus({ preventScroll: true });
  }

  // The classes have changed: what was typed stays.
  function update(frame, keys) {
    if (!isOpen()) return;
    const marked = shown[at]?.code;
    enter(frame, keys);
    fill();
    const i = shown.findIndex(({ code }) => code === marked);
    if (i >= 0) mark(i);
  }

  function enter({ classes, shown: order, experiment }, keys) {
    const given = recall(`recent-${experiment}`, []);
    recent = new Map(given.map((name, i) => [name, i]));
    entries = order.map((code) => ({ name: classes[code], code, key: keys.get(code)?.toUpperCase() }));
    for (const [code, name] of Object.entries(SKIPS)) {
      const word = Number(code) === SKIP ? "Skip" : `Skip: ${name.toLowerCase()}`;
      entries.push({ name: word, code: Number(code), key: SKIP_KEYS[code] });
    }
    entries.push({ name: "Clear", code: OPEN, key: "⌫" });
    for (const entry of entries) entry.text = folded(entry.name);
  }

  function fill() {
    const typed = filter.value.trim().replace(/\s+/g, " ");
    const wanted = folded(typed);
    // The very name first, then names that begin so, or a word of which does; what is typed may be
    // new; then names within which it stands.
    const rank = ({ text }) => {
      const at = text.indexOf(wanted);
      if (at <= 0) return at < 0 ? -1 : text === wanted ? 0 : 1;
      return text.split(/[\s_-]+/).some((word) => word.startsWith(wanted)) ? 2 : 4;
    };
    const ranked = (entry) => { // classes come before what skips and clears
      const found = rank(entry);
      return entry.code < 0 && found >= 0 ? Math.max(found, 2.5) : found;
    };
    shown = entries
      .map((entry) => ({ ...entry, rank: wanted ? ranked(entry) : Number(entry.code < 0) }))
      .filter((entry) => entry.rank >= 0);
    if (wanted && !entries.some(({ code, name }) => code >= 0 && name === typed)) {
      shown.push({ name: `Add “${typed}”`, code: typed, rank: 3, key: "⇧↵" });
    }
    const given = ({ name }) => recent.get(name) ?? Infinity;
    if (wanted || entries.length > FEW + Object.keys(SKIPS).length + 1) {
      shown.sort((a, b) => a.rank - b.rank || (given(a) < given(b) ? -1 : Number(given(a) > given(b))));
    }
    options.replaceChildren();
    draw(DRAWN);
    mark(wanted ? 0 : Math.max(0, shown.findIndex(({ code }) => code === label && code !== OPEN)));
    place();
  }

  function draw(more) {
    const from = options.children.length;
    options.append(...shown.slice(from, from + more).map(({ name, code, key }, i) => el("div", {
      id: `class-${from + i}`, className: code < 0 ? "option command" : "option", role: "option",
      ariaSelected: String(code === label && code !== OPEN),
      ariaPosInSet: String(from + i + 1), ariaSetSize: String(shown.length),
      onclick: () => pick(code), onpointermove: () => from + i !== at && mark(from + i),
    }, el("span", { className: "text" }, name), ...(key ? [el("kbd", {}, key)] : []))));
  }

  function mark(i) {
    options.children[at]?.classList.remove("active");
    at = Math.max(0, Math.min(i, shown.length - 1));
    if (at >= options.children.length) draw(at + DRAWN - options.children.length);
    options.children[at].classList.add("active");
    options.children[at].scrollIntoView({ block: "nearest" });
    for (const node of [options, filter]) node.setAttribute("aria-activedescendant", `class-${at}`);
  }

  // Beside the tile, so that the picture stays visible; on a narrow screen below or above it.
  // It moves with the page when that scrolls.
  function place() {
    const tile = anchor.getBoundingClientRect();
    const { width, height } = box.getBoundingClientRect();
    const [right, bottom] = [innerWidth - width - 8, innerHeight - height - 8];
    let [left, top] = [tile.right + 4, tile.top];
    if (left > right) left = tile.left - width - 4;
    if (left < 8) {
      left = tile.left;
      top = tile.bottom + 4 > bottom ? tile.top - height - 4 : tile.bottom + 4;
    }
    const within = (value, end) => Math.max(8, Math.min(value, end));
    box.style.translate = `${within(left, right)}px ${within(top, bottom)}px`;
  }

  function pick(code) {
    close();
    choose(code);
  }

  function close() {
    if (!isOpen()) return;
    box.hidePopover();
    dismissed = 0;
    closed();
  }

  // Whether a key pressed while the list is open was meant for it.
  function takes(event) {
    if (!isOpen()) return false;
    const { key } = event;
    const filtering = event.composedPath()[0] === filter;
    const move = { ArrowDown: at + 1, ArrowUp: at - 1 }[key]
      ?? (filtering ? undefined : { Home: 0, End: shown.length - 1 }[key]);
    const mine = move !== undefined || ["Enter", "Escape", "Tab"].includes(key);
    const typed = key.length === 1 && !event.ctrlKey && !event.metaKey;
    if (!mine && !filtering && !typed) return false;
    // What is typed into the filter must not reach Streamlit, for which "r" means "rerun": it
    // sees the component's outer element as the target, not the text field.
    event.stopImmediatePropagation();
    if (filtering && isComposing(event)) return true;
    if (mine) event.preventDefault();
    else if (typed) filter.focus({ preventScroll: true }); // it is typed there
    if (move !== undefined) mark(move);
    else if (key === "Enter") pick(((event.shiftKey && shown.find(isNew)) || shown[at]).code);
    else if (key === "Escape" || key === "Tab") close();
    return true;
  }

  return { open, update, close, takes };
}
