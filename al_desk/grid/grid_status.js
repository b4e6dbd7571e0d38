// @ts-check
export default function ({ data }) {
  (globalThis.gridStatus ??= {})[data.grid] = data;
  dispatchEvent(new CustomEvent("grid-status", { detail: data.grid }));
}
