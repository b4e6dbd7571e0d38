"""Labels come in: what a person does in a grid, answered once it is on disk; and why an image is
there."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from al_core.errors import ActiveLearningError
from al_desk.routes.answers import GoneForGood, answer
from al_desk.routes.grids import grid_of
from al_desk.routes.visitors import base, visitor

PATH = "/labels"
LONGEST = 1 << 16  # bytes of a message; browsers send no more as they leave a page
A_SECOND, AT_ONCE = 50, 200  # messages of one grid

_spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by token: messages, and until when
_counting = Lock()


def labels_address() -> str:
    """Where the page's scripts post what people do."""
    return f"{base()}{PATH}"


async def labels(request: Request) -> Response:
    """Take what a person did in a grid. Anything but a plain answer says why in ``problem``: 401
    where the token has ended, or is another's; 410 where the experiment is no more; 503 where it
    cannot be saved now."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST:
                return _problem("That is too long.", 413)
    except ClientDisconnect:
        return Response(status_code=400)
    return await run_in_threadpool(_answer, request, bytes(body))


def _answer(request: Request, body: bytes) -> Response:
    login = visitor(request)
    if login is None:
        return _problem("This page was opened too long ago, or by somebody else.", 403)
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        return _problem("That is no message of a grid.", 400)
    token = message.get("grid")
    grid = grid_of(token)
    if grid is None or grid.login != login:
        return _problem("Its token has ended.", 401)
    if not _may_come(str(token)):
        return _problem("Too many at once.", 429)
    try:
        return _json(answer(grid, message))
    except GoneForGood:
        return _problem("This experiment was deleted for good.", 410)
    except ActiveLearningError as error:
        return _problem(str(error), 503)


def _may_come(token: str) -> bool:
    """Whether a grid has sent less than it may."""
    now = time.monotonic()
    with _counting:
        count, at = _spent.pop(token, (0.0, now))
        count = max(0.0, count - A_SECOND * (now - at))
        _spent[token] = min(count + 1, AT_ONCE), now
        while len(_spent) > 1000:
            _spent.popitem(last=False)
    return count < AT_ONCE


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, {"Cache-Control": "no-store"})


def _problem(text: str, status: int) -> JSONResponse:
    return _json({"problem": text}, status)
