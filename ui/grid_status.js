// What changes while a batch lasts, in a message of its own, so that the pictures travel once.
// The grid may be mounted before this or after it.

export default function ({ data }) {
  (globalThis.labelGridStatus ??= new Map()).set(data.grid, data);
  document.dispatchEvent(new CustomEvent("label-grid-status", { detail: data.grid }));
}
