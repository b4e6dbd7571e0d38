"""An upload in the form: for whoever has no path on the machine that runs the desk."""

from __future__ import annotations

import streamlit as st

from al_core.files.paths import uploads
from al_core.sources.uploads import MOST_BYTES, MOST_FILES, TOO_MUCH
from al_desk.routes.uploads import upload_address
from al_desk.widgets.scripts import source

KEY = "upload"
_upload = st.components.v2.component(
    KEY, js=source("widgets/picture.js", "setup/upload.js"), css=source("setup/upload.css")
)


def offer_upload(path: str) -> None:
    """Offer it; the folder that the pictures are in then stands in the field with the key
    ``path``."""

    def take() -> None:
        name = (st.session_state.get(KEY) or {}).get("uploaded")
        if isinstance(name, str) and name:
            st.session_state[path] = str(uploads() / name.replace("\\", "/").rpartition("/")[2])

    limits = {"files": MOST_FILES, "bytes": MOST_BYTES, "tooMuch": TOO_MUCH}
    _upload(key=KEY, data={"address": upload_address(), **limits}, on_uploaded_change=take)
