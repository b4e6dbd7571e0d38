"""Which formats of pictures are read: by the ending of a name, by the first bytes, by what is
installed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import cache

# PIL's formats by the endings of their files, and no others: PIL would hand an EPS file named .jpg
# to Ghostscript.
ENDINGS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".apng": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
    ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".jpx": "JPEG2000", ".avif": "AVIF",
    ".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF",
}  # fmt: skip
# Pictures that nothing here reads: they are told of.
OTHERS = (
    ".svg", ".psd", ".tga", ".ico", ".eps", ".jxl", ".exr", ".hdr", ".dcm", ".dng", ".raw", ".cr2",
    ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
)  # fmt: skip
FEATURES = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}  # that a PIL may lack
BEGINNINGS = {  # of files, as regular expressions, with an ending of that format
    rb"\xff\xd8\xff": ".jpg",
    rb"\x89PNG\r\n\x1a\n": ".png",
    rb"GIF8[79]a": ".gif",
    rb"BM.{4}\0{4}": ".bmp",
    rb"RIFF.{4}WEBP": ".webp",
    rb"II[*+]\0|MM\0[*+]": ".tif",
    rb"P[1-6]\s": ".ppm",
    rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51": ".jp2",
    rb".{4}ftypavi[fs]": ".avif",
    rb".{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)": ".heic",
}


@cache
def formats() -> tuple[str, ...]:
    """The formats of ENDINGS that the installed decoders read."""
    from PIL import features

    known = dict.fromkeys(ENDINGS.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an older PIL does not know the name of each
        absent = {name for name, feature in FEATURES.items() if not features.check(feature)}
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        absent.add("HEIF")
    return tuple(name for name in known if name not in absent)


def readable(ending: str) -> bool:
    """Whether files with this ending are read here."""
    return ENDINGS.get(ending) in formats()


def sniffed(beginning: bytes) -> str:
    """The ending that a file's first 32 bytes deserve; empty where they are no picture's."""
    if not beginning:
        return ""
    matches = (e for start, e in BEGINNINGS.items() if re.match(start, beginning, re.DOTALL))
    return next(matches, "")


def what_would_read(unread: Mapping[str, int]) -> str:
    """A sentence on so many pictures of each ending that cannot be read here; empty without any."""
    if not unread:
        return ""
    number = ", ".join(f"{count:,} {ending}" for ending, count in sorted(unread.items()))
    kinds = {ENDINGS.get(ending, "") for ending in unread}
    ways = []
    if "HEIF" in kinds:
        ways.append("install pillow-heif")
    if kinds & FEATURES.keys():
        ways.append("install a newer pillow")
    if "" in kinds:
        others = sorted(ending for ending in unread if ending in OTHERS)
        ways.append(f"make {', '.join(others)} into JPEG or PNG")
    return f"Left out, since nothing that is installed reads them: {number}; {', '.join(ways)}."
