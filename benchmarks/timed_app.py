"""The app with a clock: ``streamlit run benchmarks/timed_app.py``, started by benchmarks.desk.

Each run of the script, callbacks included, is appended to ``times.txt`` in ``$AL_HOME``:
milliseconds by the clock, milliseconds of this thread's own computing, and whether only a fragment
was drawn.
"""

from __future__ import annotations

import os
import runpy
import time
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

if not hasattr(ScriptRunner, "untimed"):
    ScriptRunner.untimed = ScriptRunner._run_script

    def timed(self: ScriptRunner, rerun_data: RerunData) -> None:
        clock, own = time.perf_counter(), time.thread_time()
        try:
            ScriptRunner.untimed(self, rerun_data)
        finally:
            clock, own = time.perf_counter() - clock, time.thread_time() - own
            fragment = bool(rerun_data.fragment_id_queue or rerun_data.fragment_id)
            with (Path(os.environ["AL_HOME"]) / "times.txt").open("a") as file:
                file.write(f"{1000 * clock:.2f} {1000 * own:.2f} {int(fragment)}\n")

    ScriptRunner._run_script = timed

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[1] / "streamlit_app.py"), run_name="__main__")
else:
    from al_desk.routes.app import lifespan, routes

    app = st.App(__file__, routes=routes(), lifespan=lifespan)
