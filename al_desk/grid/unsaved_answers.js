// @ts-check
// Answers of grids that are no longer on the page: a notice says that they wait here, and they are
// sent until they are saved. A grid that is on the page sends its own; but a restarted server does
// not know the fragment that the grid is in, and does not answer until the whole page is requested.
// Streamlit requests it only if it was waiting for something when the connection broke.

const EVERY = 2500; // milliseconds
const SILENCE = 6000;

export default function ({ data, parentElement, setStateValue }) {
  const notice = parentElement.querySelector(".unsaved");
  let waiting = false; // whether answers would be lost with the tab
  const unsaved = () => [...(globalThis.labelGridJournals?.values() ?? [])].filter((journal) => {
    journal.acknowledge({ mount: journal.mount, saved: data.saved?.[journal.mount] });
    return !journal.isSaved;
  });

  function look() {
    const all = unsaved();
    const journals = all.filter((journal) => !journal.isShown);
    const count = journals.reduce((sum, journal) => sum + journal.unsaved().size, 0);
    waiting = count > 0;
    notice.hidden = !waiting;
    const own = journals.filter((journal) => journal.key.startsWith(`grid-${data.experiment}-`));
    notice.textContent = `${count} ${count === 1 ? "answer is" : "answers are"} not saved yet. `
      + "Keep this tab open: they are kept here, and saved as soon as "
      + (own.length < journals.length ? "their experiment is on this page." : "possible.");
    if (own.length) {
      setStateValue("journals", own.map((j) => ({ ...j.message(), grid: j.key, who: j.who })));
    } else if (all.some((journal) => journal.silence > SILENCE)) {
      setStateValue("journals", Date.now());
    }
  }

  const warn = (event) => waiting && event.preventDefault();
  addEventListener("beforeunload", warn);
  // Not at once: the grid of these answers may be about to be drawn.
  const timer = setInterval(look, EVERY);
  const soon = setTimeout(look, 500);
  return () => {
    removeEventListener("beforeunload", warn);
    clearInterval(timer);
    clearTimeout(soon);
  };
}
