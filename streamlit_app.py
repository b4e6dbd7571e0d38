"""The page, for ``streamlit run streamlit_app.py``."""

from al_desk.page import page

page()
