// @ts-check
// What the person did, as numbered events, and their way to the log. Each is sent until the server
// says that it is on disk, also when the grid has gone and when the person leaves the page; the server
// keeps it once. What the log says of an image counts for more than what is remembered here.

const SKIP = -1;
const SKIPS = { [SKIP]: "Skipped", [-6]: "Unsure", [-7]: "None of these", [-8]: "Bad picture" };
const SKIP_KEYS = { [SKIP]: "S", [-6]: "Q", [-7]: "N", [-8]: "X" };
const OUT = -9; // of what is offered as one class: of another, and still open
const OPEN = -2; // as an event: cleared
const UNDO = -3; // of one image, or, with image -1, of whatever came before this mount
const HAND_IN = -4;
const ANY = -1; // the image of an event that is about none in particular
const PATIENCE = 20_000; // milliseconds that an answer may take
const [SOON, LATE] = [250, 10_000]; // milliseconds until something is sent again
const PART = 45_000; // bytes of events in a message: as a page goes, browsers send no more than 60 kB

// By grid, what it is called: those of grids that have gone stay until all is saved.
const journals = (globalThis.deskJournals ??= new Map());

function journalOf(frame) {
  const known = journals.get(frame.grid);
  const journal = known ?? createJournal(frame.grid);
  journals.set(frame.grid, journal);
  journal.begin(frame);
  return journal;
}

function createJournal(name) {
  // crypto.randomUUID() exists only on https and localhost.
  const random = crypto.getRandomValues(new Uint32Array(3));
  const mount = Array.from(random, (part) => part.toString(36)).join("");
  const events = []; // an event's number is its place, so the list only grows
  const effects = []; // for each event, the image and the label that it led to
  const told = new Map(); // image -> label, as the log said last
  let saved = 0; // events that are on disk
  let at; // how much of the log is told
  let unknown = []; // images of which nothing is told yet
  let since = performance.now(); // when the current tile was reached, or the last event happened
  let token = "";
  let address = "";
  let listener = null; // the grid, while it is on the page
  let posting = false;
  let due = false; // whether the log is asked, even without events
  let waited = 0; // milliseconds, since the last answer
  let timer;
  let problem = "";

  function begin(frame) {
    ({ token, labels: address } = frame);
    // Whoever sees the batch again decides again whether it is done, so an unsaved hand-in is
    // dropped; its number stays taken.
    if (!listener) {
      for (let i = saved; i < events.length; i += 1) if (events[i][1] === HAND_IN) events[i] = [];
    }
  }

  // Ask the log for what is new, and for all of these images where it may say something else of them.
  function ask(images, again) {
    const more = again ? images : images.filter((image) => !told.has(image));
    unknown = [...new Set([...unknown, ...more])];
    due = true;
    post();
  }

  // The events from that number on, as many as one message takes.
  function part(from) {
    let [to, size] = [from, 0];
    while (to < events.length && size < PART) size += 3 * JSON.stringify(events[to++]).length;
    return events.slice(from, to);
  }

  function message(from, some, asked = []) {
    return JSON.stringify({ grid: token, at, mount, first: from, events: some,
      ...(asked.length ? { images: asked } : {}) });
  }

  // Each act is an image, what the person did, and the label that it leads to. The time since the
  // last event is divided among images that were answered at once.
  function add(acts) {
    const now = performance.now();
    for (const [image, act, label] of acts) {
      events.push([image, act, Math.round((now - since) / acts.length)]);
      effects.push([image, label]);
    }
    since = now;
    post();
  }

  async function post() {
    if (posting) return;
    clearTimeout(timer);
    const asked = unknown;
    [posting, due, unknown] = [true, false, []];
    let answer, said;
    try {
      // Not a turn later than need be: what is on its way is not held up by what is drawn.
      const ticket = (globalThis.deskTicket ??= Promise.withResolvers()); // perhaps it is yet to come
      if (!ticket.isTaken) await ticket.promise;
      const signal = AbortSignal.timeout(PATIENCE);
      const body = message(saved, part(saved), asked);
      answer = await fetch(address, { method: "POST", body, signal });
      said = await answer.json();
    } catch { answer = undefined; } // the server is away
    posting = false;
    if (answer?.ok) take(said);
    else {
      unknown = [...asked, ...unknown];
      if (answer) await refuse(answer.status, said.problem);
      else {
        if (waited) problem = "The server does not answer.";
        again();
      }
    }
    notice();
  }

  function take(said) {
    const [wasAway, before] = [waited > 0, saved];
    [waited, problem, at] = [0, "", said.at];
    saved = Math.max(saved, said.saved ?? 0);
    for (const [image, label] of said.labels ?? []) told.set(image, label);
    if (saved < events.length || due) post();
    listener?.(said);
    // Somebody else may have the batch by now, an idle page does not notice that its server is back,
    // and what has come of a grid that has gone is not on the page yet.
    const isLate = !listener && saved > before;
    if (said.run || wasAway || isLate) globalThis.deskLink?.run();
    if (isLate) setTimeout(forget, LATE);
  }

  // A grid that is drawn again at once knows its labels, and takes keys: not before a while.
  function forget() {
    if (!listener && saved === events.length) journals.delete(name);
  }

  async function refuse(status, said) {
    if (status === 410) { // there is nothing to save it to any more
      saved = events.length;
      problem = said;
    } else if (status === 401 || status === 403) {
      const other = await globalThis.deskLink?.token(name);
      if (other) token = other;
      else problem = "Whoever gave these answers has to log in again.";
      again();
      return;
    } else {
      problem = said;
      again();
    }
    listener?.({});
  }

  function again() {
    timer = setTimeout(post, waited);
    waited = Math.min(Math.max(2 * waited, SOON), LATE);
    listener?.({});
  }

  // As the page goes: what is on its way would be cut off.
  function leave() {
    for (let from = saved; from < events.length;) {
      const some = part(from);
      const body = message(from, some);
      fetch(address, { method: "POST", body, keepalive: true }).catch(() => {});
      from += some.length;
    }
  }

  const pending = () => new Map(effects.slice(saved));

  return {
    name, begin, ask, add, leave,
    retry: () => { waited = 0; post(); },
    listen: (heard) => { listener = heard; },
    leaveGrid(heard) {
      if (listener !== heard) return; // another grid has taken its place
      listener = null;
      setTimeout(notice, SOON);
      setTimeout(forget, LATE);
    },
    touch: () => { since = performance.now(); },
    // The labels of images, with what is not saved yet.
    labels(images) {
      const own = pending();
      return images.map((image) => own.get(image) ?? told.get(image) ?? OPEN);
    },
    stored: (images) => images.filter((image) => (told.get(image) ?? OPEN) !== OPEN).length,
    knows: (images) => images.every((image) => told.has(image)),
    get unsaved() { return pending().size; },
    get isShown() { return listener !== null; },
    get isSaved() { return saved === events.length; },
    get problem() { return problem; },
  };
}

// ---- answers of grids that have gone -------------------------------------------------------------

// A notice that they wait here.
function notice() {
  const waiting = [...journals.values()].filter((journal) => !journal.isShown && !journal.isSaved);
  const count = waiting.reduce((sum, journal) => sum + journal.unsaved, 0);
  globalThis.deskNotice?.remove();
  if (!count) return;
  const why = waiting.find((journal) => journal.problem)?.problem ?? "";
  const node = el("div", { role: "alert", style: "position: fixed; bottom: 1rem; left: 50%; "
    + "translate: -50%; z-index: 1000; padding: 0.75rem 1rem; border-radius: 0.5rem; "
    + "background: #5c3c00; color: #fff; font: 14px sans-serif; max-width: 90vw" },
  `${count} ${count === 1 ? "answer is" : "answers are"} not saved yet. ${why} Keep this tab open: `
    + "they are kept here, and saved as soon as possible.");
  globalThis.deskNotice = node;
  document.body.append(node);
}

if (!globalThis.deskLeaves) {
  globalThis.deskLeaves = true;
  const all = () => [...globalThis.deskJournals.values()];
  addEventListener("pagehide", () => all().forEach((journal) => journal.leave()));
  addEventListener("online", () => all().forEach((journal) => journal.isSaved || journal.retry()));
  addEventListener("beforeunload", (event) =>
    all().every((journal) => journal.isSaved) || event.preventDefault());
}
