"""Who may ask for pictures: whoever has opened the page, and is logged in where that is asked for.

A picture's address is remembered by browsers and proxies, and its request has no header of ours. So
the page hands out a ticket, a signed token that ends; the page's script posts it, and gets a
cookie that no script can read and no other site can send. Streamlit guards its own routes; these
are guarded here.

Three things guard, each against what the others let through. The cookie: whoever was never shown
the page. Origin and Sec-Fetch-Site: pages of other servers in the same browser, also on another
port of this host, which counts as the same site, so that the cookie comes along. Host: a page whose
name leads to this machine by now (DNS rebinding). To its browser that page and the desk are one, so
it could open the page, be handed a ticket and get a cookie. Streamlit takes any name by default.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response
from streamlit import config
from streamlit.web.server.server_util import is_allowed_origin
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from al_core.store.store import Store
from al_desk.server.resources import open_store

ENDS = 24 * 3600  # seconds that a ticket and its cookie are good for
LONGEST = 1000  # bytes of a ticket
LOCAL = ("localhost", "127.0.0.1", "::1")  # names of a machine to itself


def base() -> str:
    """Where the page lies on its host: empty, or ``/desk``."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def sign() -> str:
    """A ticket, good for ENDS seconds from now."""
    return str(signer("pictures").dumps("pictures"))


def ticket() -> str:
    """A ticket for the page; the same for an hour, so that the page does not change with each
    run."""
    return _ticket(hour(), _key())


@lru_cache(4)
def _ticket(_hour: int, _key: str) -> str:
    return sign()


def hour() -> int:
    """The present hour, counted from some day."""
    return int(time.time() // 3600)


async def take_ticket(request: Request) -> Response:
    """Exchange a ticket for a cookie."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            return Response(status_code=413)
    if not _is_from_here(request) or not _is_signed(body.decode("ascii", "replace")):
        return Response(status_code=403)
    answer = Response(status_code=204)
    answer.set_cookie(
        cookie_name(), sign(), max_age=ENDS, path=f"{base()}/",
        httponly=True, samesite="strict", secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer


def is_let_in(request: Request) -> bool:
    """Whether this request comes from a page that we have shown, and from who is logged in where
    that is asked for."""
    return visitor(request) is not None


def visitor(request: Request) -> str | None:
    """Who asks: :func:`person`, or empty where no login is asked for; None for whoever is not let
    in."""
    signed = request.cookies.get(cookie_name(), "")
    return _login_of(request) if _is_from_here(request) and _is_signed(signed) else None


def cookie_name() -> str:
    """Cookies know no ports: two desks on one host have databases, and so cookies, of their own."""
    return f"al_desk_{hashlib.blake2b(_key().encode(), digest_size=4).hexdigest()}"


def _key() -> str:
    return _key_of(open_store())


@lru_cache(1)
def _key_of(store: Store) -> str:
    return store.key("pictures")


def signer(salt: str) -> URLSafeTimedSerializer:
    """What signs tokens of one kind; those of another are not valid for it."""
    return _signer(_key(), salt)


@lru_cache(8)
def _signer(key: str, salt: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt=salt)


def _is_signed(token: str) -> bool:
    try:
        return bool(signer("pictures").loads(token, max_age=ENDS) == "pictures")
    except BadSignature:  # or it has ended
        return False


def _is_from_here(request: Request) -> bool:
    """Whether the request is to a host that this server is meant to be, from its own page, or from
    an origin that ``server.corsAllowedOrigins`` names, as behind a proxy that changes the host."""
    host, origin = request.headers.get("host"), request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")  # "none": somebody typed the address
    if not is_host_allowed(host) or site not in ("same-origin", "none"):
        return False
    return not origin or urlsplit(origin).netloc == host or is_allowed_origin(origin)


def expect_own_names() -> None:
    """Where this server listens to its own machine only, let its routes and Streamlit's take no
    other name for it, unless ``server.allowedHosts`` says which."""
    listens_at = str(st.get_option("server.address") or "")
    is_local = listens_at in LOCAL
    with suppress(ValueError):
        is_local = is_local or ip_address(listens_at).is_loopback
    if is_local and not st.get_option("server.allowedHosts"):
        names = {*LOCAL, listens_at, str(st.get_option("browser.serverAddress") or listens_at)}
        config.set_option("server.allowedHosts", sorted(names))


def asks_for_login() -> bool | None:
    """Whether ``.streamlit/secrets.toml`` names an identity provider; None where that file cannot
    be read, since it may."""
    is_read = st.secrets.load_if_toml_exists()
    if not is_read and any(Path(name).exists() for name in st.get_option("secrets.files")):
        return None
    return is_read and "auth" in st.secrets


def _login_of(request: Request) -> str | None:
    """Who is logged in by Streamlit's own cookie; empty where no login is asked for, and None where
    one is and there is none."""
    if (asked := asks_for_login()) is not True:
        return "" if asked is False else None
    from streamlit.web.server.starlette import starlette_websocket as streamlits

    cookie = streamlits._get_signed_cookie_with_chunks(
        dict(request.cookies), streamlits.USER_COOKIE_NAME
    )
    said = json.loads(cookie) if cookie else {}
    return person(said) if said.get("is_logged_in") else None


def person(login: Mapping[str, Any]) -> str:
    """One short name for whom an identity provider describes."""
    who = json.dumps([login.get(name) for name in ("iss", "sub", "email")])
    return hashlib.blake2b(who.encode(), digest_size=6).hexdigest()
