# `just` lists what there is.

_list:
    @just --list

# What the tests and the linters need, and the command al-desk
setup:
    python -m pip install -r requirements-dev.txt --editable .

# Everything
test *options:
    python -m pytest {{options}}

# What needs no browser, server, PostgreSQL or Ray
fast *options:
    python -m pytest -m fast {{options}}

# What tests/test_style.py asks for
lint:
    python -m ruff check .
    python -m ruff format --check .
    python -m mypy

# The page
desk *options:
    python -m streamlit run streamlit_app.py -- {{options}}
