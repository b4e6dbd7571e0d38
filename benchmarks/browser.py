"""What measurements in a browser share: clocks in the page, and how a table is headed."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import numpy as np

# Times of keys, of the frames that show them, and of the "saved" that covers each.
CLOCK = """
window.desk = {keys: [], echoes: [], saved: []};
document.addEventListener("keydown", (event) => {
    if (!/^[0-9]$/.test(event.key)) return;
    desk.keys.push(event.timeStamp);
    requestAnimationFrame(() => {
        const painted = new MessageChannel();
        painted.port1.onmessage = () => desk.echoes.push(performance.now() - event.timeStamp);
        painted.port2.postMessage(0);
    });
}, true);
"""
WATCH_SAVED = """(grid) => {
    Object.assign(window.desk, {keys: [], echoes: [], saved: []});
    const text = grid.querySelector(".saved");
    const before = parseInt(text.textContent);
    desk.watching?.disconnect();
    desk.watching = new MutationObserver(() => {
        const count = parseInt(text.textContent) - before;
        while (desk.saved.length < count) {
            desk.saved.push(performance.now() - desk.keys[desk.saved.length]);
        }
    });
    desk.watching.observe(text, {childList: true, characterData: true, subtree: true});
}"""


def class_on(digit: int, data: str) -> int:
    """The number of the class on a digit: the one that it is called by, or else that of its place,
    from 1 to 9, and 0."""
    return digit if data == "digits" else (digit - 1) % 10


def heading(about: str) -> None:
    """When, on what and with what a table was made."""
    import streamlit  # heavy, and processes that are measured go without

    print(f"{date.today()}, {os.cpu_count()} cores, Streamlit {streamlit.__version__}, "
          f"Python {platform.python_version()}, {about}\n", flush=True)  # fmt: skip


def report(what: str, where: str, values: list[float]) -> None:
    median, tail, worst = np.percentile(values, [50, 99, 100])
    print(f"| {what} | {where} | {len(values)} | {median:,.1f} | {tail:,.1f} | {worst:,.1f} |",
          flush=True)  # fmt: skip


def in_memory(what: str, pid: int | str = "self") -> int:
    """Bytes of a process, by the kernel's name for them: VmRSS now, VmHWM at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(what)
