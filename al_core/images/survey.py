"""What a source holds, told before any picture of it is decoded."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.images.dataset import SMALLEST
from al_core.images.earlier import stamps_of
from al_core.images.split import FEWEST_TESTED, split
from al_core.progress import Work
from al_core.sources.content import Content
from al_core.sources.listing import ending_of, natural
from al_core.sources.sources import find
from al_core.sources.split_words import split_of

SAMPLES = 3  # images of each class
NAMED = 4  # folders in a sentence
# Without accents, in English, German, French, Spanish, Italian, Portuguese and Dutch.
MONTHS = (
    "jan(uary?|uari)?|feb(ruary?|ruari)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|"
    "oct(ober)?|nov(ember)?|dec(ember)?|maerz|marz|mai|juni|juli|okt(ober)?|dez(ember)?|"
    "janvier|fevrier|mars|avril|juin|juillet|aout|septembre|octobre|novembre|decembre|"
    "enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|diciembre|"
    "gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|"
    "janeiro|fevereiro|marco|maio|junho|julho|setembro|outubro|novembro|dezembro|"
    "maart|mei|augustus"
)
# What names of folders look like that are hardly classes, and what those would be.
LOOKS = {
    "dates": rf"((19|20)\d\d([-_. ]?(\d\d?|{MONTHS}))?([-_. ]?\d\d?)?|\d\d?[-_. ](19|20)\d\d)"
    r"([-_ ].*)?",
    "months": rf"(\d\d?[-_. ])?({MONTHS})([-_. ]?(19|20)?\d\d)?",
    "weekdays": r"(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?s?",
    "numbers": r"\d+|(batch|part|set|fold|folder|page|session|day|week|year|import|upload)"
    r"[-_ ]?\d+",
    "cameras": r"\d{3}[a-z_][a-z0-9_]{4}|dcim|"
    r"(cam|camera|gopro|canon|nikon|sony|dsc|img)([-_ ]?\d+|[-_ ]\w+)?",
    "places for files": r"(raw|original|edited|new|old|image|img|photo|picture|crop|mask|label|"
    r"annotation|export|thumb|thumbnail|misc|other)s?",
}


@dataclass(frozen=True, slots=True)
class Survey:
    """A source before it is decoded. Pairs are of a name and a number of images.

    ``images`` counts all that are to be read, ``train`` and ``test`` of them, ``unlabelled`` those
    of unknown class; ``own_split``: the test images are the source's own, else drawn by us, where
    copies and damaged pictures may still change their number. ``folders`` hold images themselves,
    and are no classes. ``unmeasured`` classes have too few test images. ``left_out``: by ending, as
    ``@eaDir/*.jpg`` in folders that are left out, by the name of a folder that is a link, or "" for
    no ending; with the name of one, or of such a folder, where that is known, else "".
    ``samples``: keys of a few images of each class, or of none. ``doubts``: sentences on what
    cannot be known, which ``folders_are_classes`` answers.
    ``content``: the pictures, none of which was read.
    """

    kind: str
    where: str
    images: int
    train: int
    test: int
    own_split: bool
    unlabelled: int
    folders: tuple[tuple[str, int], ...]
    classes: tuple[tuple[str, int], ...]
    unmeasured: tuple[str, ...]
    left_out: tuple[tuple[str, int, str], ...]
    samples: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    content: Content


def survey(source: str, *, cache_dir: Path, folders_are_classes: bool = True) -> Work[Survey]:
    """Look at a source without decoding its pictures. ``cache_dir`` is where CIFAR-10 would be
    downloaded to. Raises SourceError and DownloadError as
    :func:`al_core.images.dataset_cache.load` does, but not for what it can still show."""
    found = yield from find(source, folders_are_classes=folders_are_classes)
    content = yield from found.read(SMALLEST, Path(cache_dir))
    if found.kind == "folder":
        content = replace(content, stamps=stamps_of(found))
    parts = split(content)
    targets, names = content.targets, content.class_names
    counts = np.bincount(targets[targets >= 0], minlength=len(names)).tolist()
    is_folder = found.kind in ("folder", "zip")
    samples: dict[str, tuple[str, ...]] = {}
    for target, name in enumerate(names) if names else [(-1, "")]:
        rows = np.flatnonzero(targets == target)[:SAMPLES].tolist()
        samples[name] = tuple(content.keys[row] for row in rows)
    are_classes = is_folder and folders_are_classes and _name_folders(content.keys, names)
    return Survey(
        kind=found.kind,
        where=found.where,
        images=len(parts.train) + len(parts.test),
        train=len(parts.train),
        test=len(parts.test),
        own_split=content.has_own_split,
        unlabelled=int((targets < 0).sum()),
        folders=_folders(content.keys) if is_folder and not are_classes else (),
        classes=tuple(zip(names, counts, strict=True)),
        unmeasured=too_few_to_test(names, targets[parts.test]),
        left_out=_by_ending(content.left_out, content.others),
        samples=samples,
        notes=content.notes,
        doubts=(*_doubts(names), *_doubts_within(content.keys, names)) if are_classes else (),
        content=content,
    )


def too_few_to_test(class_names: Sequence[str], tested: NDArray[np.int64]) -> tuple[str, ...]:
    """The classes that test images with the targets ``tested`` cannot measure."""
    counts = np.bincount(tested[tested >= 0], minlength=len(class_names))
    return tuple(n for n, c in zip(class_names, counts, strict=True) if c < FEWEST_TESTED)


def _name_folders(keys: Sequence[str], names: Sequence[str]) -> bool:
    """Whether classes are called like folders, and not by a table."""
    folders = {part for key in keys for part in key.split("/")[:-1]}
    return bool(folders.intersection(names))


def _folders(keys: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(key.rpartition("/")[0] for key in keys).items())


def _by_ending(
    left_out: Iterable[str], others: Mapping[str, int]
) -> tuple[tuple[str, int, str], ...]:
    counts, examples = Counter(others), dict[str, str]()
    listed = {kind.partition("/")[0] + "/" for kind in others if "/" in kind}
    for name in left_out:
        is_folder = name.endswith("/")
        ending = name.rstrip("/").rpartition("/")[2] + "/" if is_folder else ending_of(name)
        examples.setdefault(ending, name)
        if ending not in listed:  # of which each file is counted already
            counts[ending] += 1

    def example(kind: str) -> str:
        return examples.get(kind.partition("*")[0] if "/" in kind else kind, "")

    return tuple((kind, n, example(kind)) for kind, n in counts.most_common())


def _doubts(names: Sequence[str]) -> tuple[str, ...]:
    found = []
    for what, look in LOOKS.items():
        alike = [name for name in names if re.fullmatch(look, _bare(name))]
        if 2 * len(alike) > len(names):
            found.append(f"{_some(alike)}: are these folders classes, or only {what}?")
            break
    if parts := [name for name in names if split_of(name)]:
        found.append(f"{_some(parts)}: a class, or images to train or to test with?")
    return tuple(found)


def _bare(name: str) -> str:
    """A name in lower case, without accents."""
    letters = unicodedata.normalize("NFD", name.strip().casefold())
    return "".join(one for one in letters if not unicodedata.combining(one))


def _doubts_within(keys: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """A doubt where classes hold nothing but folders, which have the same names in several of them,
    as in EU/cats, EU/dogs, US/cats, US/dogs; not where those are hardly classes."""
    classes, within = set(names), dict[str, set[str]]()
    for key in keys:
        *folders, _ = key.split("/")
        place = next((i for i, folder in enumerate(folders) if folder in classes), None)
        if place is not None:
            inner = folders[place + 1] if place + 1 < len(folders) else ""
            within.setdefault(folders[place], set()).add(inner)
    counts = Counter(inner for found in within.values() for inner in found)
    repeated = sorted((inner for inner, count in counts.items() if count > 1), key=natural)
    all_share = all(not found.isdisjoint(repeated) for found in within.values())
    if "" in counts or len(counts) < 2 or len(within) < 2 or not all_share or _doubts(repeated):
        return ()
    outer = sorted(within, key=natural)
    return (
        f"{_some(outer)}: are these folders classes, or those in them ({_some(repeated)})? Only "
        f"those at the top can be: for the others, {repeated[0]}/{outer[0]} would have to stand in "
        f"place of {outer[0]}/{repeated[0]}.",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
