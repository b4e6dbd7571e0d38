export default function ({ data }) {
  (globalThis.labelGridStatus ??= new Map()).set(data.grid, data);
  document.dispatchEvent(new CustomEvent("label-grid-status", { detail: data.grid }));
}
