// @ts-check
// What the person did, as numbered events, and how many of them are saved.

const SKIP = -1;
const SKIPS = { [SKIP]: "Skipped", [-6]: "Unsure", [-7]: "None of these", [-8]: "Bad picture" };
const SKIP_KEYS = { [SKIP]: "S", [-6]: "Q", [-7]: "N", [-8]: "X" };
const OPEN = -2; // as an event: cleared
const UNDO = -3; // of one image, or, with image -1, of whatever came before this mount
const HAND_IN = -4;
const ANY = -1; // the image of an event that is about none in particular
const RESEND = 2500; // milliseconds after which unsaved events are sent again

// One per batch, for as long as the page lives: a server that comes back may first draw other
// things, and what was typed meanwhile must outlive the grid (see unsaved_answers.js).
function journalOf(key) {
  const journals = (globalThis.labelGridJournals ??= new Map());
  if (!journals.has(key)) journals.set(key, createJournal(key));
  const journal = journals.get(key);
  journal.beginAgain();
  journal.isShown = true;
  return journal;
}

// An event's number is its place in its mount's list, so the list only grows.
function createJournal(key) {
  // crypto.randomUUID() exists only on https and localhost.
  const random = crypto.getRandomValues(new Uint32Array(4));
  const mount = Array.from(random, (part) => part.toString(36)).join("");
  const events = [];
  const effects = []; // for each event, the image and the label that it led to
  let acknowledged = 0;
  let begun = 0; // events acknowledged before this are in the status already
  let sends = 0;
  let heard = 0; // when the server last answered, or began to owe an answer
  let since = performance.now(); // when the current tile was reached, or the last event happened

  // All unsaved events are sent each time: an update may be overtaken by the next.
  function message() {
    sends += 1; // so that Streamlit sees a change when the same events are sent again
    return { mount, sends, first: acknowledged, events: events.slice(acknowledged) };
  }

  // Each act is an image, what the person did, and the label that it leads to. The time since the
  // last event is divided among images that were answered at once.
  function add(acts) {
    const now = performance.now();
    if (acknowledged === events.length) heard = now;
    for (const [image, act, label] of acts) {
      events.push([image, act, Math.round((now - since) / acts.length)]);
      effects.push([image, label]);
    }
    since = now;
  }

  function acknowledge(status) {
    if (status.mount === mount) acknowledged = Math.max(acknowledged, status.saved ?? 0);
  }

  // What is saved, a status says in full, as what it says of it has changed.
  function reread(status) {
    if (status.mount === mount) begun = Math.max(begun, Math.min(status.saved ?? 0, acknowledged));
  }

  // The saved labels: those of the status, and those saved since the grid was drawn.
  function stored(images, codes) {
    const labels = new Map(images.map((image, i) => [image, codes[i]]));
    for (const [image, label] of effects.slice(begun, acknowledged)) labels.set(image, label);
    return images.map((image) => labels.get(image));
  }

  // A grid is drawn again. Whoever sees the batch again decides again whether it is done, so an
  // unsaved hand-in is dropped; its number stays taken.
  function beginAgain() {
    begun = acknowledged;
    for (let i = acknowledged; i < events.length; i += 1) {
      if (events[i][1] === HAND_IN) events[i] = [];
    }
  }

  return {
    key, mount,
    isShown: true, // whether a grid on the page sends it
    who: "", // the annotator who answered last
    add, message, beginAgain, acknowledge, reread, stored,
    touch: () => { since = performance.now(); },
    unsaved: () => new Map(effects.slice(acknowledged)),
    hear: () => { heard = performance.now(); },
    get silence() { return performance.now() - heard; },
    get saved() { return acknowledged; },
    get count() { return events.length; },
    get isSaved() { return acknowledged === events.length; },
  };
}

// Sends a journal's events with `transmit` until they are saved, one message at a time: an answer
// that has not left the server is dropped when the next message starts a run, and with eight tabs at
// once none got through for seconds. `again` is called when something was sent once more.
function createSender(journal, transmit, again) {
  let timer;
  let due = 0; // how many events the message covers that waits for an answer
  let answered = 0; // how many were saved at the last answer
  let resends = 0; // since then

  function send() {
    due = journal.count;
    transmit(journal.message());
    clearTimeout(timer);
    timer = setTimeout(resend, RESEND);
  }

  // A server that was away, or was restarted, has not seen what was sent meanwhile.
  function resend() {
    if (journal.isSaved) return;
    resends += 1;
    send();
    again();
  }

  return {
    send,
    // There is more in the journal, or the server has answered.
    advance() {
      if (journal.saved > answered) [answered, resends] = [journal.saved, 0];
      if (!journal.isSaved && journal.saved >= due) send();
    },
    // Whatever the person does next elsewhere on the page must see everything that was done here.
    hurry() { if (journal.count > due) send(); },
    stop: () => clearTimeout(timer),
    get isLate() { return resends > 1; },
  };
}
