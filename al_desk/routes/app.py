"""The routes beside the page, and what happens when the server starts."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import streamlit as st
from starlette.routing import BaseRoute, Route
from streamlit import config

from al_desk.routes.labels import PATH as LABELS
from al_desk.routes.labels import labels
from al_desk.routes.pictures import PATH, PATH_TOGETHER, picture, small_pictures
from al_desk.routes.uploads import PATH as UPLOADS
from al_desk.routes.uploads import upload, upload_progress
from al_desk.routes.visitors import base, expect_own_names, take_ticket
from al_desk.routes.why import PATH as WHY
from al_desk.routes.why import why


def routes() -> list[BaseRoute]:
    """All of them, below the path that the page has; Streamlit does not put them there."""
    return [
        Route(f"{base()}{PATH}", picture),
        Route(f"{base()}{PATH_TOGETHER}", small_pictures),
        Route(f"{base()}{UPLOADS}", upload, methods=["POST"]),
        Route(f"{base()}{UPLOADS}/{{name}}", upload_progress),
        Route(f"{base()}{LABELS}", labels, methods=["POST"]),
        Route(f"{base()}{WHY}", why),
        Route(f"{base()}/ticket", take_ticket, methods=["POST"]),
    ]


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Answer at once, and open a browser, as ``streamlit run`` does of a plain script."""
    _send_at_once()
    expect_own_names()
    # Where somebody changes config.toml meanwhile, all options are read anew.
    forget = config.on_config_parsed(expect_own_names, force_connect=True)
    if not st.get_option("server.headless"):
        _open_browser()
    yield
    forget()


def _send_at_once() -> None:
    """A small answer in two pieces would wait 40 ms for the other side to confirm the first. What a
    listening socket is told, those that it accepts inherit."""
    for one in gc.get_objects():
        if type(one) is socket.socket and one.type == socket.SOCK_STREAM:
            with suppress(OSError, AttributeError):  # it is closed, or no TCP; no such option here
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _open_browser() -> None:
    from streamlit.cli_util import open_browser
    from streamlit.web.server.server_util import get_display_address, get_url

    host = st.get_option("browser.serverAddress") or st.get_option("server.address")
    open_browser(get_url(get_display_address(host) if host else "localhost"))
