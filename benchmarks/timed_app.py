"""The app with a clock: ``streamlit run benchmarks/timed_app.py``, started by benchmarks.desk.

Each answer to what a person did is appended to ``times.txt`` in ``$AL_HOME``: milliseconds by the
clock, and milliseconds of its thread's own computing.
"""

from __future__ import annotations

import os
import runpy
import time
from pathlib import Path

import streamlit as st

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[1] / "streamlit_app.py"), run_name="__main__")
else:
    from starlette.requests import Request
    from starlette.responses import Response

    from al_desk.routes import labels
    from al_desk.routes.app import lifespan, routes

    untimed = labels._answer

    def timed(request: Request, body: bytes) -> Response:
        clock, own = time.perf_counter(), time.thread_time()
        try:
            return untimed(request, body)
        finally:
            clock, own = time.perf_counter() - clock, time.thread_time() - own
            if b'"events":[[' in body:
                with (Path(os.environ["AL_HOME"]) / "times.txt").open("a") as file:
                    file.write(f"{1000 * clock:.2f} {1000 * own:.2f}\n")

    labels._answer = timed
    app = st.App(__file__, routes=routes(), lifespan=lifespan)
