"""The desk, for ``streamlit run streamlit_app.py``: the page, and the routes beside it."""

import streamlit as st

if __name__ == "__main__":  # it is run for each view of the page
    from al_desk.page import page

    page()
else:  # and imported once by the server
    from al_desk.routes.app import lifespan, routes

    app = st.App(__file__, routes=routes(), lifespan=lifespan)
