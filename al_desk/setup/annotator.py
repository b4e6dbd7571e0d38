"""Who may see the page, and who is labelling: a name that the browser remembers."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, unquote

import streamlit as st

from al_core.errors import ConfigError
from al_core.experiment.activity import since
from al_core.experiment.experiment import Experiment
from al_core.models.metrics import estimate, leading, within
from al_core.names import LENGTH
from al_core.store.records import RoundRecord, annotator_name, now
from al_desk.routes.visitors import asks_for_login
from al_desk.widgets.formatting import ago, interval, plain, show_error

COOKIE = "annotator"
QUIET = timedelta(minutes=10)  # a shorter absence is not worth a line if nothing happened in it

_remember = st.components.v2.component(
    "remember_annotator",
    js="""export default ({ data }) => {
        document.cookie = `annotator=${data}; path=/; max-age=31536000; SameSite=Lax`;
    }""",
)


def is_let_in() -> bool:
    """Whether this visitor may see anything: everybody may, unless ``.streamlit/secrets.toml``
    names an identity provider; then strangers get a button to log in. Nobody may if that file
    cannot be read, since it may ask for a login."""
    asks = asks_for_login()
    if asks is None:
        show_error(
            "The secrets of this desk cannot be read, so nobody is let in: fix secrets.toml."
        )
        return False
    if not asks or st.user.get("is_logged_in", False):
        return True
    st.title("Active-learning desk", anchor=False)
    st.write("This desk asks for a login.")
    st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
    return False


def ask_name() -> str:
    """The annotator's name, as this browser or the login knows it; "me" until it is given."""
    login = name_or(str(st.user.get("name", "")), "me")
    known = name_or(unquote(st.context.cookies.get(COOKIE, "")), login)
    name = st.text_input(
        "Your name",
        known,
        key="annotator",
        max_chars=LENGTH,
        help="Saved with each label; this browser remembers it.",
        on_change=st.rerun,
    )
    try:
        name = annotator_name(name) if name.strip() else "me"
    except ConfigError as error:
        show_error(error)
        name = known
    if COOKIE in st.context.cookies or name != "me":
        _remember(key="remember-annotator", data=quote(name, safe=""))
    return name


def name_or(given: str, otherwise: str) -> str:
    """A name as the log keeps it, or ``otherwise`` if it cannot be one."""
    try:
        return annotator_name(given)
    except ConfigError:
        return otherwise


def welcome_back(experiment: Experiment, annotator: str) -> None:
    """What has happened since the annotator was last here, until the next batch is handed in."""
    told = st.session_state.setdefault("since", {})
    place = (experiment.id, annotator)
    if place not in told:
        told[place] = (len(experiment.batches), _what_happened(experiment, annotator))
    batches, text = told[place]
    if text and batches == len(experiment.batches):
        st.caption(f":material/history: {text}")


def _what_happened(experiment: Experiment, annotator: str) -> str:
    past = since(experiment, annotator)
    if past is None:
        return ""
    events = [f"{plain(name)} answered {count:,}" for name, count in past.others.items()]
    events += [f"round {record.round} was trained{_measured(record)}" for record in past.rounds]
    if not events and now() - past.at < QUIET:
        return ""
    news = "; ".join(events) or "nothing has happened"
    return f"Your last label was {ago(past.at)}. Since then: {news}."


def _measured(record: RoundRecord) -> str:
    if record.metrics is None:
        return ""
    measure = leading(record.metrics)
    one = estimate(record.metrics, measure)
    return f" ({within(measure)} {one.value:.1%}, {interval(one.low, one.high)})"
