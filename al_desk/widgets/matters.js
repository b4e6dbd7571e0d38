// @ts-check
// Where the focus is while matters are open: with them if they were opened by a key, or if the button
// that had it is gone with its question; and after Escape on their own button again.

let opener; // the button, where it was a key that opened them

export default function ({ parentElement }) {
  const body = parentElement.getRootNode().host.closest('[data-testid="stPopoverBody"]');
  const take = () => {
    body.tabIndex = -1; // one Tab from the first button: an Enter held too long gives no answer
    body.focus({ preventScroll: true });
  };
  const before = document.activeElement;
  // It may be drawn anew, as where it was closed and opened while the page still ran.
  if (before !== document.body) opener = before?.matches("button:focus-visible") ? before : null;
  if (opener && !body.contains(before)) take();
  const look = () => body.isConnected && document.activeElement === document.body && take();
  const answered = new MutationObserver(() => requestAnimationFrame(look));
  answered.observe(body, { childList: true, subtree: true });
  // Of the window, which comes first: closing removes this. The grid takes the focus in a timeout.
  const onKey = (event) => {
    if (event.key === "Escape") setTimeout(() => setTimeout(() => opener?.focus()));
  };
  addEventListener("keydown", onKey, { capture: true });
  return () => {
    answered.disconnect();
    removeEventListener("keydown", onKey, { capture: true });
  };
}
