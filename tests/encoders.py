"""Encoders that tests see with: a narrow ResNet-18 in a file, and timm's networks, tiny."""

from pathlib import Path

from al_core.config import ModelConfig
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.find import encoder_of
from al_core.progress import finish
from tests.servers import APP


def frozen(weights: Path | str, **how: str) -> ModelConfig:
    """The settings of a linear head on the features of ``weights``."""
    return ModelConfig(str(weights), head="linear", **how)


def at(weights: Path | str, size: int, **how: str) -> Encoder:
    """The encoder of ``weights`` for images of ``size`` pixels."""
    return finish(encoder_of(frozen(weights, **how), "", size))


def app_offering(folder: Path, *offered: object) -> Path:
    """A file with the desk, whose form offers one encoder: what Offered takes."""
    app = folder / "app_offering.py"
    app.write_text(f"""
import runpy
from al_core.features.encoders.catalogue import ENCODERS, Offered
one = Offered(*{offered!r})
if one.name not in ENCODERS:
    ENCODERS.clear()
    ENCODERS[one.name] = one
if __name__ == "__main__":
    runpy.run_path({str(APP)!r}, run_name="__main__")
else:
    import streamlit as st
    from al_desk.routes.app import lifespan, routes
    app = st.App(__file__, routes=routes(), lifespan=lifespan)
""")
    return app
