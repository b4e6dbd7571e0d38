// @ts-check
// What the person did, as numbered events, and how many of them are on disk.

const SKIP = -1;
const OPEN = -2; // as an event it says: cleared
const UNDO = -3; // of one image, or, with image -1, of whatever came before this mount
const HAND_IN = -4;
const ANY = -1; // as the image of an event that is about none
const RESEND = 2500; // milliseconds after which what is not saved is sent again

// One for each batch, as long as the page lives: a server that comes back may draw other things
// first, and what was typed meanwhile must not go with the grid (see unsaved_answers.js).
function journalOf(key) {
  const journals = (globalThis.labelGridJournals ??= new Map());
  if (!journals.has(key)) journals.set(key, createJournal(key));
  const journal = journals.get(key);
  journal.beginAgain();
  journal.isShown = true;
  return journal;
}

// An event's number is its place in the list of its mount, so the list only grows.
function createJournal(key) {
  // crypto.randomUUID() exists on https and localhost only.
  const random = crypto.getRandomValues(new Uint32Array(4));
  const mount = Array.from(random, (part) => part.toString(36)).join("");
  const events = [];
  const effects = []; // the image and the label that each event led to
  let acknowledged = 0;
  let begun = 0; // what was acknowledged before stands in the status already
  let sends = 0;
  let heard = 0; // when the server answered last, or began to owe an answer
  let since = performance.now(); // when the current tile was reached, or the last event

  // What is not on disk yet is sent each time: an update may be overtaken by the next.
  function message() {
    sends += 1; // so that the same events, sent again, are not taken for old news
    return { mount, sends, first: acknowledged, events: events.slice(acknowledged) };
  }

  // Each act is an image, what the person did, and the label that it leads to. The time since the
  // last event is shared out among images that were answered at once.
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

  // The labels on disk: those of the status, and what was saved since the grid was drawn.
  function stored(images, codes) {
    const labels = new Map(images.map((image, i) => [image, codes[i]]));
    for (const [image, label] of effects.slice(begun, acknowledged)) labels.set(image, label);
    return images.map((image) => labels.get(image));
  }

  // A grid is drawn anew. Whoever sees a batch again decides again whether it is done; the event
  // keeps its number.
  function beginAgain() {
    begun = acknowledged;
    for (let i = acknowledged; i < events.length; i += 1) {
      if (events[i][1] === HAND_IN) events[i] = [];
    }
  }

  return {
    key, mount,
    isShown: true, // whether a grid on the page sends it
    who: "", // who answered last
    add, message, beginAgain, acknowledge, stored,
    touch: () => { since = performance.now(); },
    unsaved: () => new Map(effects.slice(acknowledged)),
    hear: () => { heard = performance.now(); },
    get silence() { return performance.now() - heard; },
    get saved() { return acknowledged; },
    get count() { return events.length; },
    get isSaved() { return acknowledged === events.length; },
  };
}

// Sends what is in a journal, by `transmit`, until it is saved, one message at a time: an answer that
// has not left the server is dropped when the next message begins a run, and with eight tabs at once
// none came through for seconds. `again` hears that something was sent once more.
function createSender(journal, transmit, again) {
  let timer;
  let due = 0; // how many events the message holds that has no answer yet
  let answered = 0; // how many were saved when there was one
  let resends = 0; // since then

  function send() {
    due = journal.count;
    transmit(journal.message());
    clearTimeout(timer);
    timer = setTimeout(resend, RESEND);
  }

  // A server that was away, or started anew, has not seen what was sent meanwhile.
  function resend() {
    if (journal.isSaved) return;
    resends += 1;
    send();
    again();
  }

  return {
    send,
    // More is in the journal, or the server has said something.
    advance() {
      if (journal.saved > answered) [answered, resends] = [journal.saved, 0];
      if (!journal.isSaved && journal.saved >= due) send();
    },
    // What the person does next elsewhere on the page is to know of all that was done here.
    hurry() { if (journal.count > due) send(); },
    stop: () => clearTimeout(timer),
    get isLate() { return resends > 1; },
  };
}
