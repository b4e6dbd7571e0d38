// @ts-check
// Brightness and contrast, for dark pictures. Part of one module with label_grid.js.

function createLight(root, done) {
  let [isOn, brightness, contrast] = recall("light", [false, 1.8, 1.2]);

  const slider = (name, value, most, take) => {
    const input = el("input", {
      type: "range", min: 0.4, max: most, step: 0.1, value, ariaLabel: name,
      oninput: () => {
        take(Number(input.value));
        paint();
      },
      onpointerup: done,
    });
    return el("label", {}, name, input);
  };
  const node = el("div", { className: "light", "data-testid": "light" },
    slider("Brightness", brightness, 5, (value) => { brightness = value; }),
    slider("Contrast", contrast, 3, (value) => { contrast = value; }),
    command("b", "As they are", toggle));

  function paint() {
    node.hidden = !isOn;
    root.classList.toggle("bright", isOn);
    root.style.setProperty("--light", `brightness(${brightness}) contrast(${contrast})`);
    remember("light", [isOn, brightness, contrast]);
  }

  function toggle() {
    isOn = !isOn;
    paint();
    done();
  }

  paint();
  return { node, toggle };
}
