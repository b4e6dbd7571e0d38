"""Who may see the page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st


def is_let_in() -> bool:
    """Whether this visitor may see anything: everybody, unless ``.streamlit/secrets.toml`` names a
    provider of identities; then a button to log in is drawn for strangers. Nobody, where that file
    cannot be read: what it asks for is not known."""
    is_read = st.secrets.load_if_toml_exists()
    if not is_read and any(Path(name).exists() for name in st.get_option("secrets.files")):
        words = "The secrets of this desk cannot be read, so nobody is let in: mend secrets.toml."
        st.error(words, icon=":material/error:")
        return False
    asks = is_read and "auth" in st.secrets
    if not asks or st.user.get("is_logged_in", False):
        return True
    st.title("Active-learning desk", anchor=False)
    st.write("Whoever shares this desk asks for a login.")
    st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
    return False
