// @ts-check
// Delivers the status of a grid, which label_grid.js waits for.
export default function ({ data }) {
  (globalThis.gridStatus ??= {})[data.grid] = data;
  dispatchEvent(new CustomEvent("grid-status", { detail: data.grid }));
}
