"""A folder of images: which are to train on and which to test with, and the class of each.

Names are relative to the folder and joined by "/", so that those in a .zip are read alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from al_core.errors import SourceError
from al_core.sources.content import Content, Picture
from al_core.sources.formats import what_would_read
from al_core.sources.listing import Listing, composed, keys_of, natural, printable
from al_core.sources.split_words import NO_TRAINING, TESTS, split_of

# Names of folders that are no class, as they are without case and anything between letters.
UNLABELLED = re.compile(
    r"(un|not|non|to|tobe|notyet)(label|labell?ed|classif(y|ied)|sort|sorted|annotated?|tagged)"
    r"(images?|pictures?|photos?|data)?|unknown|(no|without)(class|label)(e?s)?"
)


def is_unlabelled(folder: str) -> bool:
    """Whether a folder of this name holds images without a label."""
    return UNLABELLED.fullmatch(re.sub(r"[\W_]+", "", folder.casefold())) is not None


def read_folder(
    where: str,
    listing: Listing,
    picture_of: Callable[[str], Picture],
    *,
    labels: Mapping[str, str] | None = None,
    folders_are_classes: bool = True,
) -> Content:
    """Images in ``train/<class>/`` and ``test/<class>/``, in ``<class>/``, or without classes.

    An image's class is the first folder below the root or below ``train``, however deep it lies;
    that of one beside those folders, or in one that :func:`is_unlabelled`, is unknown. ``labels``
    of a table win over folders. Test images are used only if they and the training images have
    classes. ``picture_of`` opens a name. Raises SourceError where two readings are as good.
    """
    layout = _layout(where, listing)

    def class_of(name: str) -> str:
        if labels is not None:
            return labels.get(name, "")
        first, slash, _ = layout.place(name)[1].partition("/")
        is_class = folders_are_classes and slash and not is_unlabelled(first)
        return composed(first) if is_class else ""

    of_split: dict[str, list[str]] = {"train": [], **{split: [] for split in TESTS}, "": []}
    for name in listing.pictures:
        of_split[layout.place(name)[0]].append(name)
    train = of_split["train"]
    classes = {name: label for name in train if (label := class_of(name))}
    names = set(classes.values())
    notes = [what_would_read(listing.unread)]
    if labels is None and classes:
        names |= set(filter(None, map(class_of, layout.empty(listing.folders))))
        if len(names) == 1 and 2 * len(classes) < len(train):
            notes.append(
                f"The folder {printable(*names)} is not taken for a class, since most images lie "
                "beside it. If it is one, make a folder for another class, which may be empty."
            )
            classes, names = {}, set()  # such as a folder of copies among photographs
    tests = ({n: label for n in of_split[split] if (label := class_of(n))} for split in TESTS)
    test = next(filter(None, tests), {}) if names else {}
    if labels is not None:
        names |= set(test.values())
    if strangers := sorted(set(test.values()) - names, key=natural):
        raise SourceError(
            f"{where} tests classes that its training images do not have: "
            f"{', '.join(map(printable, strangers))}."
        )
    chosen = [*train, *test]
    key_of = dict(zip(listing.pictures, keys_of(listing.pictures), strict=True))
    keys = [key_of[name] for name in chosen]
    if twice := [key for key, count in Counter(keys).items() if count > 1]:
        raise SourceError(f"{where} has two files that are both shown as {twice[0]}; rename one.")
    class_names = sorted(names, key=natural)
    number = {name: i for i, name in enumerate(class_names)}
    classes |= test
    is_used = set(chosen)
    left_out = [name for name in listing.pictures if name not in is_used] + listing.left_out
    names_of = dict(zip(keys, chosen, strict=True))
    return Content(
        keys=keys,
        targets=np.array([number.get(classes.get(n, ""), -1) for n in chosen], dtype=np.int64),
        in_test=np.array([name in test for name in chosen], dtype=np.bool_),
        class_names=tuple(map(printable, class_names)),
        pictures=map(picture_of, chosen),
        left_out=tuple(map(printable, left_out)),
        notes=tuple(filter(None, notes)),
        others=dict(listing.others),
        at=lambda key: picture_of(names_of[key]),
    )


def without_classes(listing: Listing, picture_of: Callable[[str], Picture]) -> Content:
    """All images of a folder, whatever folders they lie in."""
    names = dict(zip(keys_of(listing.pictures), listing.pictures, strict=True))
    return Content(
        keys=list(names),
        targets=np.full(len(names), -1),
        in_test=np.zeros(len(names), dtype=np.bool_),
        class_names=(),
        pictures=map(picture_of, names.values()),
        left_out=tuple(map(printable, listing.left_out)),
        others=dict(listing.others),
        at=lambda key: picture_of(names[key]),
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the folders of classes lie: below ``prefix``, but for those of ``halves``: folder below
    ``prefix`` -> its split ("": not used), and what leads to the classes in it."""

    prefix: str = ""
    halves: dict[str, tuple[str, str]] = field(default_factory=dict)

    def place(self, name: str) -> tuple[str, str]:
        """The split of a file, and its name below the folder that holds those of classes."""
        rest = name.removeprefix(self.prefix)
        top, slash, _ = rest.partition("/")
        split, start = self.halves.get(top if slash else "", ("train", ""))
        return split, rest.removeprefix(start)

    def empty(self, folders: Iterable[str]) -> list[str]:
        """Those of ``folders`` that are of a class to train on, as if each were a file in it."""
        has_train = any(split == "train" for split, _ in self.halves.values())
        found = []
        for name in (f"{folder}/" for folder in folders):
            split, rest = self.place(name)
            top = name.removeprefix(self.prefix).partition("/")[0]
            is_class = top in self.halves if has_train else not split_of(top)
            leads = any(start.startswith(rest) for _, start in self.halves.values())
            if split == "train" and is_class and rest.count("/") == 1 and not leads:
                found.append(name)
        return [name for name in found if name.startswith(self.prefix) and name != self.prefix]


def _layout(where: str, listing: Listing) -> _Layout:
    """Tell parts from classes: "train" beside other folders is a class if no folders are in it, as
    of cars, planes, trains; so is "test", unless the folders in it are those beside it."""
    prefix = _wrapper(listing)
    below: dict[str, list[str]] = {}  # what each folder holds
    loose = False
    for name in listing.pictures:
        top, slash, rest = name.removeprefix(prefix).partition("/")
        loose |= not slash
        if slash and not is_unlabelled(top):
            below.setdefault(top, []).append(rest)
    splits = {top: split_of(top) for top in below}
    plain = {top for top, split in splits.items() if not split}
    classes_in = {top: {r.partition("/")[0] for r in below[top] if "/" in r} for top in below}
    within = {
        split_of(r.partition("/")[0]) if "/" in r else "" for rs in below.values() for r in rs
    }
    if plain == below.keys() and len(within) > 1 and "train" in within and "" not in within:
        raise SourceError(
            f"{where} has parts to train and to test with within its classes: put the classes into "
            "the parts, as in train/cat and test/cat."
        )
    trains = {top for top, split in splits.items() if split == "train"}
    tests = {top: split for top, split in splits.items() if split in TESTS}
    if trains and plain and not any(classes_in[top] for top in trains):
        if tests:
            raise SourceError(
                f"{where} has {', '.join(map(printable, below))} beside each other, with no "
                "folders in them: are those classes, or parts to train and to test with? Keep "
                "either the ones or the others in that folder."
            )
        halves = {}
    elif trains:
        halves = splits
    elif plain:
        halves = {
            top: s for top, s in tests.items() if classes_in[top] and classes_in[top] <= plain
        }
    elif len(set(tests.values())) == len(TESTS):
        raise SourceError(NO_TRAINING.format(where=where, names=", ".join(map(printable, below))))
    else:  # all that there is, unless there are images beside them
        halves = tests if loose else dict.fromkeys(tests, "train")
    return _Layout(prefix, {top: (s, _start(top, below[top])) for top, s in halves.items()})


def _start(top: str, rests: list[str]) -> str:
    """What leads to the classes in a part: ``seg_train/``, or ``seg_train/seg_train/``."""
    inner = {rest.partition("/")[0] if "/" in rest else "" for rest in rests}
    if len(inner) == 1 and split_of(*inner) == split_of(top) != "":
        return f"{top}/{inner.pop()}/"
    return f"{top}/"


def _wrapper(listing: Listing) -> str:
    """The one folder that holds all others, as of an unpacked download: ``pets/``, or nothing."""
    prefix = ""
    names = [*listing.pictures, *(f"{folder}/" for folder in listing.folders)]
    while True:
        parts = [n.removeprefix(prefix).partition("/") for n in names if n != prefix]
        tops = {top for top, slash, _ in parts if slash}
        if len(tops) != 1 or not all(slash for _, slash, _ in parts):
            return prefix if len(tops) > 1 else ""
        (top,) = tops
        if split_of(top) or is_unlabelled(top):
            return prefix
        prefix += f"{top}/"
        names = [name for name in names if name.startswith(prefix)]
