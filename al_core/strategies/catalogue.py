"""The strategies by name: what each is good for and what it needs.

Imports no torch, so that a page can offer them, and settings can be checked, at once. The functions
stand in :mod:`al_core.strategies.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One strategy: ``title`` as a person reads it; ``asks_about`` and ``good_for``, each the end
    of a sentence that begins so.

    ``starts``: it needs no labels and may choose the first batch. ``committee``: it needs the
    opinions of several heads. ``ranks``: it chooses by a score of each image alone.
    """

    title: str
    asks_about: str
    good_for: str
    starts: bool = False
    committee: bool = False
    ranks: bool = False


CATALOGUE: dict[str, Entry] = {
    "least_confidence": Entry(
        "Least confidence",
        "the images whose best guess the model trusts least",
        "a model that knows each class a little, and small batches",
        ranks=True,
    ),
    "margin": Entry(
        "Margin",
        "the images where two classes are almost equally likely",
        "telling apart classes that look alike",
        ranks=True,
    ),
    "entropy": Entry(
        "Entropy",
        "the images where the model is torn between many classes",
        "images that fit no class the model knows yet",
        ranks=True,
    ),
    "bald": Entry(
        "BALD",
        "the images on which ten heads disagree although each is sure",
        "leaving out what nobody could tell, since there the heads are unsure alike",
        committee=True,
        ranks=True,
    ),
    "variation_ratio": Entry(
        "Variation ratio",
        "the images for which ten heads vote apart",
        "a model whose probabilities cannot be trusted: only votes count",
        committee=True,
        ranks=True,
    ),
    "badge": Entry(
        "BADGE",
        "images the model is unsure of, and unlike one another",
        "large batches, in which no two should teach the same",
    ),
    "k_center": Entry(
        "K-center",
        "the images farthest from any that has a label, outliers included",
        "finding rare kinds, and oddities",
        starts=True,
    ),
    "typiclust": Entry(
        "TypiClust",
        "the most typical image of each kind not yet seen",
        "the first few labels",
        starts=True,
    ),
    "probcover": Entry(
        "ProbCover",
        "the images with the most others close by that none has covered",
        "the first few labels, where classes lie apart",
        starts=True,
    ),
    "maxherding": Entry(
        "MaxHerding",
        "the images that stand for as much of the pool as can be",
        "the first few labels",
        starts=True,
    ),
    "uherding": Entry(
        "UHerding",
        "the images that stand for as much as can be of what is unsure",
        "going from the first labels to the last without a change of strategy",
        starts=True,
    ),
    "random": Entry(
        "Random",
        "a fair sample",
        "a yardstick: whatever does not beat it is not worth its time",
        starts=True,
    ),
}


def titled(strategy: str) -> str:
    """A strategy's name as a person reads it; one that is not known any more stands for itself."""
    return CATALOGUE[strategy].title if strategy in CATALOGUE else strategy


def suits_few_labels(strategy: str) -> bool:
    """Whether a strategy looks at more than a model that has seen next to nothing."""
    return strategy != "random" and strategy in CATALOGUE and CATALOGUE[strategy].starts


MEASURED = (
    "Measured (benchmarks/RESULTS.md): on digits, with 10 to 100 labels and a linear head on "
    "pixels, UHerding, MaxHerding, TypiClust and K-center were better than random, BALD was worse, "
    "and the others could not be told from it. On CIFAR-10 from scratch, with 1,000 to 3,000 "
    "labels, none of UHerding, BADGE, margin and least confidence was better than random in three "
    "runs; with one person's labels least confidence was worse."
)
FEW_PER_CLASS = 10  # labels; below, FOR_FEW are suggested
FOR_FEW = "MaxHerding or TypiClust"
TOO_FEW = (
    "“{}” needs a head, which needs labels of two classes; choose one that starts without, like "
    "typiclust or random."
)
