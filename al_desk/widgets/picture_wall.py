"""A wall of pictures with two lines below each; nothing on it is clicked."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

_STYLE = """<style>
.wall { display: flex; flex-wrap: wrap; gap: 0.75rem 0.5rem }
.wall figure { margin: 0 }
.wall img { border-radius: 0.25rem; display: block; width: 100% }
.wall figcaption { font-size: 0.8125rem; line-height: 1.35; margin-top: 0.125rem }
.wall span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.wall span + span { opacity: 0.72 }
</style>"""


def picture_wall(images: NDArray[np.uint8], captions: Sequence[tuple[str, str]]) -> None:
    """``images`` uint8 ``[n,3,S,S]`` and the two lines below each, shown as they are written."""
    size = images.shape[-1]
    # A whole multiple, where there is one, is crisp.
    side = min(size * max(1, round(96 / size)), 128)
    crisp = "image-rendering:pixelated" if size <= 64 else ""
    figures = []
    for image, lines in zip(images, captions, strict=True):
        first, second = (escape(line) for line in lines)
        figures.append(
            f'<figure style="width:{side}px" title="{first}, {second}">'
            f'<img src="data:image/webp;base64,{_webp(image)}" alt="{first}, {second}" '
            f'style="{crisp}"><figcaption><span>{first}</span><span>{second}</span></figcaption>'
            "</figure>"
        )
    st.html(f'{_STYLE}<div class="wall">{"".join(figures)}</div>')


def _webp(image: NDArray[np.uint8]) -> str:
    """One picture ``[3,S,S]`` as base64; lossless where it is small."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    file = io.BytesIO()
    if picture.width <= 64:
        picture.save(file, "WEBP", lossless=True, method=2, quality=25)
    else:
        picture.thumbnail((256, 256))
        picture.save(file, "WEBP", quality=85)
    return base64.b64encode(file.getvalue()).decode()
