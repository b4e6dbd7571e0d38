"""Pictures that come in: an upload, written to the disk while it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import closing, suppress

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from al_core.errors import FileNotWritten, SourceError
from al_core.files.atomic import remove
from al_core.files.paths import uploads
from al_core.progress import Progress, Work
from al_core.sources.uploads import AT_ONCE, Incoming, Uploaded
from al_desk.routes.visitors import base, is_let_in

PATH = "/uploads"
NAME = "x-upload-name"  # the header in which a page names its upload, to ask how far it is
LONGEST_HEAD = 1 << 24  # bytes of the names and sizes

_looked_at: dict[str, Progress] = {}  # how far those are that have arrived, by their page's name


def upload_address() -> str:
    """Where the page's scripts post an upload."""
    return f"{base()}{PATH}"


async def upload(request: Request) -> Response:
    """Take an upload: a line of JSON with ``[name, size]`` of each file, then their bytes, one file
    after the other. The answer names the folder that they are in; a refusal is one sentence. At no
    time is more than a piece of it in memory, and one that breaks off leaves nothing."""
    if not await run_in_threadpool(is_let_in, request):
        return Response(status_code=403)
    try:
        pieces = _pieces(request)
        files, rest = await _head(pieces)
        incoming = await run_in_threadpool(Incoming, uploads(), files)
        try:
            done = await _take(request, incoming, rest, pieces)
        finally:
            _looked_at.pop(request.headers.get(NAME, ""), None)
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(incoming.remove)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody hears it
    except SourceError as error:
        return PlainTextResponse(str(error), 400)
    except FileNotWritten as error:
        return PlainTextResponse(str(error), 507)
    return JSONResponse({"folder": done.folder.name, "pictures": done.pictures}, 201)


async def upload_progress(request: Request) -> Response:
    """How far an upload is that has arrived and is looked at and unpacked: ``phase``, ``done``,
    ``total``; null while nothing is known of it."""
    if not await run_in_threadpool(is_let_in, request):
        return Response(status_code=403)
    report = _looked_at.get(request.path_params["name"])
    told = report and {"phase": report.phase, "done": report.done, "total": report.total}
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


async def _take(
    request: Request, incoming: Incoming, rest: bytes, pieces: AsyncIterator[bytes]
) -> Uploaded:
    if rest:
        await run_in_threadpool(incoming.write, rest)
    async for piece in pieces:
        await run_in_threadpool(incoming.write, piece)
    done: Uploaded | None = None
    with closing(incoming.settle()) as work:
        while done is None:
            report = await run_in_threadpool(_step, work)
            if isinstance(report, Uploaded):
                done = report
            elif name := request.headers.get(NAME):
                _looked_at[name] = report
            if await request.is_disconnected():  # it was cancelled
                if done is not None:
                    await run_in_threadpool(remove, done.folder)
                raise ClientDisconnect
    return done


def _step(work: Work[Uploaded]) -> Progress | Uploaded:
    try:
        return next(work)
    except StopIteration as end:
        result: Uploaded = end.value
        return result


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body, in pieces that are worth a thread's time."""
    some = bytearray()
    async for chunk in request.stream():
        some += chunk
        if len(some) >= AT_ONCE:
            yield bytes(some)
            some.clear()
    yield bytes(some)


async def _head(pieces: AsyncIterator[bytes]) -> tuple[Sequence[tuple[str, int]], bytes]:
    """The files that are announced, and the first bytes after that. Raises SourceError."""
    head = b""
    async for piece in pieces:
        head += piece
        if b"\n" in piece or len(head) > LONGEST_HEAD:
            break
    line, _, rest = head.partition(b"\n")
    with suppress(ValueError, TypeError, RecursionError):
        files = [(name, size) for name, size in json.loads(line[:LONGEST_HEAD])]
        if files and all(type(n) is str and type(s) is int and s >= 0 for n, s in files):
            return files, rest
    raise SourceError("This is no upload: choose a .zip or pictures in the page.")
