// @ts-check
// What scripts of the page need of the page itself: the cookie for our routes, another run of it, and
// new tokens for grids. Streamlit gives a component's scripts no other way to reach the server.

const SOON = 250; // milliseconds
const LATE = 10_000;

export default function ({ data, setStateValue }) {
  const desk = (globalThis.deskLink ??= createDesk());
  desk.take(data, setStateValue);
}

function createDesk() {
  let send, address;
  let ticket = "";
  let [wanted, done] = [0, 0]; // runs of the page
  let waited = SOON;
  let timer;
  const asked = new Map(); // by grid: who waits for its token

  function take(data, setStateValue) {
    send = setStateValue;
    done = Math.max(done, data.run);
    for (const [name, token] of Object.entries(data.tokens)) {
      asked.get(name)?.resolve(token);
      asked.delete(name);
    }
    if (data.ticket !== ticket) {
      [ticket, address] = [data.ticket, data.address];
      exchange(ticket);
    }
    if (done >= wanted && !asked.size) waited = SOON;
    dispatchEvent(new Event("desk-drawn"));
  }

  // The ticket becomes a cookie. What is asked for before waits, also until a refusal, which it will
  // be told itself.
  async function exchange(one) {
    const taken = (globalThis.deskTicket ??= Promise.withResolvers());
    for (let pause = SOON; one === ticket; pause = Math.min(2 * pause, LATE)) {
      try {
        await fetch(address, { method: "POST", body: one });
        taken.isTaken = true;
        return taken.resolve();
      } catch { await new Promise((resolve) => { setTimeout(resolve, pause); }); }
    }
  }

  // Again and again: a page whose server was away does not notice by itself that it is back.
  function ask() {
    clearTimeout(timer);
    if (done >= wanted && !asked.size) return;
    send?.("asked", { run: wanted, grids: [...asked.keys()] });
    timer = setTimeout(ask, waited * 10);
    waited = Math.min(2 * waited, LATE / 10);
  }

  return {
    take,
    run: () => { wanted += 1; ask(); },
    // A new token for a grid, or null where whoever has this page open may not have one.
    token(name) {
      if (!asked.has(name)) {
        asked.set(name, Promise.withResolvers());
        wanted += 1;
        ask();
      }
      return asked.get(name).promise;
    },
  };
}
