export default function ({ data }) {
  (window.gridStatus ??= {})[data.grid] = data;
  dispatchEvent(new CustomEvent("grid-status", { detail: data.grid }));
}
