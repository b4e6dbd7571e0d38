"""The strategies, one entry each. A new one is a function and an entry here.

Imports no torch, so that a page can list them, and settings be checked, at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from al_core.strategies.candidates import Candidates

Need = Literal["model", "committee", "embeddings"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy. ``title``, for people; ``asks_about`` and ``good_for``, each the end of a
    sentence that begins so; ``paper``, where it was proposed.

    ``needs`` lists what it cannot do without: the probabilities of a ``model``, those of a
    ``committee`` of ten linear heads, or ``embeddings``. ``where`` is its function, as
    ``file.function`` in this folder: from candidates, ``n`` and a generator to positions. For one
    that ``ranks``, the function scores each image by itself, from the probabilities of the model
    ``[N,C]`` or the committee ``[K,N,C]`` to ``[N]``; the highest are chosen.
    """

    title: str
    asks_about: str
    good_for: str
    needs: tuple[Need, ...]
    where: str
    paper: str
    ranks: bool = False

    @property
    def help(self) -> str:
        """What it asks about, and what it is good for."""
        return f"Asks about {self.asks_about}. Good for {self.good_for}."

    @property
    def starts(self) -> bool:
        """Whether it can choose the first batch, because it needs no labels."""
        return "model" not in self.needs and "committee" not in self.needs

    @property
    def sees_embeddings(self) -> bool:
        """Whether it uses embeddings, itself or through a committee."""
        return "embeddings" in self.needs or "committee" in self.needs

    @property
    def function(self) -> Callable[..., Tensor]:
        """The function, loaded on demand: torch takes two seconds."""
        file, name = self.where.split(".")
        function: Callable[..., Tensor] = getattr(import_module(f"al_core.strategies.{file}"), name)
        return function

    def score(self, candidates: Candidates) -> Tensor | None:
        """The score of each candidate, ``[N]``, highest chosen first; None for a strategy that
        does not rank."""
        if not self.ranks:
            return None
        from al_core.strategies.candidates import scored

        if "committee" in self.needs:
            return scored(self.function, candidates.committee, 1)
        return scored(self.function, candidates.probs, 0)

    def choose(
        self, candidates: Candidates, n: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """``n`` positions among the candidates, best first, int64 ``[n]``, ties broken by the
        ``generator``; and what :meth:`score` gives. Raises ConfigError if fewer are left."""
        scores = self.score(candidates)
        if scores is None:
            return self.function(candidates, n, generator), None
        from al_core.strategies.candidates import highest

        return highest(scores, candidates, n, generator), scores


STRATEGIES = {
    "least_confidence": Strategy(
        "Least confidence",
        "the images whose best guess the model trusts least",
        "a model that knows each class a little, and small batches",
        needs=("model",),
        where="uncertainty.least_confidence",
        paper="Lewis & Gale, “A sequential algorithm for training text classifiers” (1994)",
        ranks=True,
    ),
    "margin": Strategy(
        "Margin",
        "the images where two classes are almost equally likely",
        "telling apart classes that look alike",
        needs=("model",),
        where="uncertainty.margin",
        paper="Scheffer et al., “Active hidden Markov models for information extraction” (2001)",
        ranks=True,
    ),
    "entropy": Strategy(
        "Entropy",
        "the images where the model is torn between many classes",
        "images that fit no class the model knows yet",
        needs=("model",),
        where="uncertainty.entropy",
        paper="Settles, “Active learning literature survey” (2009)",
        ranks=True,
    ),
    "base": Strategy(
        "BASE",
        "as many images of each class, those that it might just be or not be",
        "classes of unequal size: rare ones are asked about as often as common ones",
        needs=("model",),
        where="uncertainty.base",
        paper="Emam et al., “Active learning at the ImageNet scale” (2021)",
    ),
    "bald": Strategy(
        "BALD",
        "the images on which ten heads disagree although each is sure",
        "leaving out what nobody could tell, since there the heads are unsure alike",
        needs=("committee",),
        where="uncertainty.bald",
        paper="Houlsby et al., “Bayesian active learning for classification and preference "
        "learning” (2011)",
        ranks=True,
    ),
    "variation_ratio": Strategy(
        "Variation ratio",
        "the images for which ten heads vote apart",
        "a model whose probabilities cannot be trusted: only votes count",
        needs=("committee",),
        where="uncertainty.variation_ratio",
        paper="Beluch et al., “The power of ensembles for active learning” (2018)",
        ranks=True,
    ),
    "badge": Strategy(
        "BADGE",
        "images the model is unsure of, and unlike one another",
        "large batches, in which no two should teach the same",
        needs=("model", "embeddings"),
        where="diversity.badge",
        paper="Ash et al., “Deep batch active learning by diverse, uncertain gradient lower "
        "bounds” (2020)",
    ),
    "k_center": Strategy(
        "K-center",
        "the images farthest from any that has a label, outliers included",
        "finding rare kinds, and oddities",
        needs=("embeddings",),
        where="diversity.k_center",
        paper="Sener & Savarese, “Active learning for convolutional neural networks: a core-set "
        "approach” (2018)",
    ),
    "typiclust": Strategy(
        "TypiClust",
        "the most typical image of each kind not yet seen",
        "the first few labels",
        needs=("embeddings",),
        where="coverage.typiclust",
        paper="Hacohen et al., “Active learning on a budget: opposite strategies suit high and low "
        "budgets” (2022)",
    ),
    "probcover": Strategy(
        "ProbCover",
        "the images with the most others close by that none has covered",
        "the first few labels, where classes lie apart",
        needs=("embeddings",),
        where="coverage.probcover",
        paper="Yehuda et al., “Active learning through a covering lens” (2022)",
    ),
    "maxherding": Strategy(
        "MaxHerding",
        "the images that stand for as much of the pool as can be",
        "the first few labels",
        needs=("embeddings",),
        where="coverage.maxherding",
        paper="Bae et al., “Generalized coverage for more robust low-budget active learning” "
        "(2024)",
    ),
    "uherding": Strategy(
        "UHerding",
        "the images that stand for as much as can be of what is unsure",
        "going from the first labels to the last without a change of strategy",
        needs=("embeddings",),
        where="coverage.uherding",
        paper="Bae et al., “Uncertainty herding: one active learning method for all label budgets” "
        "(2025)",
    ),
    "random": Strategy(
        "Random",
        "a fair sample",
        "comparison: a strategy that does not beat it is not worth its time",
        needs=(),
        where="uncertainty.random",
        paper="",
    ),
}


def titled(strategy: str) -> str:
    """A strategy's title, or its bare name where it no longer exists."""
    return STRATEGIES[strategy].title if strategy in STRATEGIES else strategy


def suits_few_labels(strategy: str) -> bool:
    """Whether a strategy does not depend on a model that has seen next to nothing."""
    return strategy != "random" and strategy in STRATEGIES and STRATEGIES[strategy].starts


MEASURED = (
    "Measured (benchmarks/RESULTS.md): on digits, with 10 to 100 labels and a linear head on "
    "pixels, UHerding, MaxHerding, TypiClust and K-center were better than random, BALD was worse, "
    "and the others could not be told from it. On CIFAR-10 from scratch, with 1,000 to 3,000 "
    "labels, none of UHerding, BADGE, margin and least confidence was better than random in three "
    "runs; with one person's labels least confidence was worse. On classes of unequal size, with a "
    "linear head, BASE had the best balanced accuracy, above random. On drawings and photographs, "
    "with a head on an encoder's features and 20 to 400 labels, UHerding, MaxHerding and TypiClust "
    "were better than random; margin and BADGE could not be told from it."
)
FEW_PER_CLASS = 10  # labels; below, FOR_FEW are suggested
FOR_FEW = "MaxHerding or TypiClust"
TOO_FEW = (
    "“{}” needs a head, which needs labels of two classes; choose one that starts without, like "
    "typiclust or random."
)
