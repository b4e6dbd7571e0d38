"""Pictures of an experiment, by the digest of each: as thumbnails, and whole."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from html import escape

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from al_core.errors import ActiveLearningError
from al_core.experiment.manifest import manifest_of
from al_core.images.dataset import ImageSet
from al_core.pictures.digests import digest_of
from al_core.pictures.square import place_of
from al_core.pictures.thumbnails import CRISP, original, thumbnail
from al_desk.routes.visitors import base, is_let_in
from al_desk.server.images import pictures_of, thumbnail_of, thumbnails
from al_desk.server.resources import open_store

PATH = "/pictures/{experiment:int}/{digest}/{size}"
PATH_TOGETHER = "/pictures/{experiment:int}/{digests}"
MOST_TOGETHER = 100
SIZES = ("thumbnail", "original")
KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
# No browser may take a picture for a page, or run what stands in one.
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


Shown = tuple[str, int, int, str]
"""A picture: its digest, which follows the experiment's address, its width and height in pixels,
and perhaps an address ``data:``, which needs no request."""


def shown(of: ImageSet, images: Sequence[int]) -> list[Shown]:
    """Pictures as the page's scripts ask for them."""
    assert of.files is not None
    return [
        (one["digest"].tobytes().hex(), int(one["width"]), int(one["height"]), _data_of(of, image))
        for image, one in zip(images, of.files[list(images)], strict=True)
    ]


def _data_of(of: ImageSet, image: int) -> str:
    """A small picture that never was a file, whose digest is that of its pixels, as ``data:``: it
    is drawn with the page, and faster than its script goes on. Empty for any other."""
    side = of.images.shape[-1]
    if side > CRISP:
        return ""
    pixels = of.images[image].transpose(1, 2, 0).tobytes()
    assert of.files is not None
    is_all = digest_of(pixels) == of.files[image]["digest"].tobytes()
    return _drawn(side, side, pixels) if is_all else ""


def remembered(of: ImageSet, image: int) -> Shown:
    """A picture whose file is gone or changed: as its thumbnail, if that was kept, or else by the
    pixels that are in memory of it, without what lies beside it in its square."""
    assert of.files is not None
    ((name, width, height, data),) = shown(of, [image])
    if data or thumbnails().has(of.files[image]["digest"].tobytes()):
        return name, width, height, data
    left, top, right, bottom = place_of(width, height, of.images.shape[-1])
    pixels = of.images[image].transpose(1, 2, 0)[top:bottom, left:right]
    down, across, _ = pixels.shape
    scale = min(CRISP / max(across, down), 1)  # what is shown as larger would be asked for
    as_shown = (max(round(side * scale), 1) for side in (across, down))
    return name, *as_shown, _drawn(across, down, pixels.tobytes())


def at_once(drawn: bytes) -> Shown:
    """A thumbnail that comes with the page."""
    from PIL import Image

    with Image.open(io.BytesIO(drawn)) as image:
        return "", *image.size, _as_address(drawn)


@lru_cache(2000)
def _drawn(width: int, height: int, pixels: bytes) -> str:
    return _as_address(thumbnail(np.frombuffer(pixels, np.uint8).reshape(height, width, 3)))


def address(experiment: int) -> str:
    """Where an experiment's pictures are: a digest and a size are to follow."""
    return f"{base()}/pictures/{experiment}/"


def picture(request: Request) -> Response:
    """One picture. Of a digest there is one for ever, so browsers keep it; what is missing or
    damaged is a drawn tile that says so, and is asked for again."""
    if not is_let_in(request):
        return Response(status_code=403)
    experiment, digest = request.path_params["experiment"], request.path_params["digest"]
    size = request.path_params["size"]
    tag = f'"{digest}-{size}"'
    if size not in SIZES or not (identity := _bytes(digest)):
        return Response(status_code=404)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag, **KEPT})
    try:
        if size == "original":
            found = original(pictures_of(experiment), identity)
        else:
            drawn = thumbnail_of(experiment, identity)
            found = (drawn, "image/webp") if drawn else None
        if found is None:
            return tile(_why_not(experiment, digest), 404)
    except ActiveLearningError as error:
        return tile(str(error), 503)
    except Exception:  # damaged files raise nearly anything
        return tile(
            "This picture cannot be read: its file is damaged, or closed to this program.", 404
        )
    content, kind = found
    return Response(content, media_type=kind, headers={"ETag": tag, **KEPT, **SAFE})


def _why_not(experiment: int, digest: str) -> str:
    """Why there is no picture with this digest, in a sentence. Raises what decoding does, where a
    file that cannot be decoded has its name."""
    manifest, pictures = manifest_of(open_store().images(experiment)), pictures_of(experiment)
    parts = (manifest.pool, manifest.test) if manifest else ()
    rows = (row for part in parts for row in part.those("digest", digest))
    there = next((pictures.called(row.key) for row in rows), None)
    if there is None:
        return "This picture is not there any more."
    thumbnail(there, ranges=pictures.ranges)
    return "The file of this picture has changed since it was read."


def small_pictures(request: Request) -> Response:
    """Thumbnails of several pictures at once, as JSON: for each of the digests, which commas
    separate, an address ``data:``, or null where :func:`picture` would show a tile. A batch of
    small ones would wait longer for a hundred answers than for what is in them."""
    if not is_let_in(request):
        return Response(status_code=403)
    experiment = request.path_params["experiment"]
    digests = [_bytes(digest) for digest in request.path_params["digests"].split(",")]
    if len(digests) > MOST_TOGETHER or not all(digests):
        return Response(status_code=404)
    found = [_as_data(experiment, digest) for digest in digests]
    kept = KEPT if all(found) else {"Cache-Control": "no-store"}
    return JSONResponse(found, headers={**kept, **SAFE})


def _as_data(experiment: int, digest: bytes) -> str | None:
    try:
        drawn = thumbnail_of(experiment, digest)
    except Exception:  # it says so itself, when it is asked for alone
        return None
    return _as_address(drawn) if drawn else None


def _as_address(drawn: bytes) -> str:
    return f"data:image/webp;base64,{b64encode(drawn).decode()}"


def _bytes(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return b""


def tile(text: str, status: int) -> Response:
    """A small drawn picture that says what is wrong."""
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="160">'
        '<rect width="160" height="160" fill="#d0d0d0"/>'
        '<foreignObject width="160" height="160"><p xmlns="http://www.w3.org/1999/xhtml" '
        'style="font: 14px sans-serif; color: #404040; margin: 0; padding: 48px 12px; '
        f'text-align: center">{escape(text)}</p></foreignObject></svg>'
    )
    headers = {"Cache-Control": "no-store", **SAFE}
    return Response(drawn, status, headers, "image/svg+xml")
