"""Who may see the page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from al_desk.widgets.formatting import show_error


def is_let_in() -> bool:
    """Whether this visitor may see anything: everybody may, unless ``.streamlit/secrets.toml``
    names an identity provider; then strangers get a button to log in. Nobody may if that file
    cannot be read, since it may ask for a login."""
    is_read = st.secrets.load_if_toml_exists()
    if not is_read and any(Path(name).exists() for name in st.get_option("secrets.files")):
        show_error(
            "The secrets of this desk cannot be read, so nobody is let in: fix secrets.toml."
        )
        return False
    asks = is_read and "auth" in st.secrets
    if not asks or st.user.get("is_logged_in", False):
        return True
    st.title("Active-learning desk", anchor=False)
    st.write("This desk asks for a login.")
    st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
    return False
