"""The split that a name speaks of, as Hugging Face reads names."""

from __future__ import annotations

import re

WORDS = {
    "train": "train", "training": "train", "trainset": "train", "testset": "test",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
TESTS = ("test", "validation")  # the first that has labels is used
NO_TRAINING = (
    "{where} has images to test and to validate with ({names}), and none to train on: put “train” "
    "into the name of those to train on, or give one of these by itself."
)


def split_of(name: str) -> str:
    """``train``, ``test`` or ``validation`` for a name that has a word of one of them between
    separators, which digits are as well: ``seg_train``, ``Testing``, ``dev-00000``, ``trainData``.
    Empty for a name that has none, or words of two."""
    name = re.sub("(?<=[a-z])(?=[A-Z])", " ", name)
    found = {WORDS[word] for word in re.split(r"[\W\d_]+", name.casefold()) if word in WORDS}
    return found.pop() if len(found) == 1 else ""
