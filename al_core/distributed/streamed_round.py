"""A round of a linear head on embeddings too large for memory: what ``run_round`` and
``query.choose`` do with a whole pool, file by file, with the same numbers and the same choice.

Memory holds the embeddings of the labelled images and, of the rest, the best so far or a sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.distributed.embedding_pool import (
    Map,
    PoolInParts,
    Stretch,
    damage_told,
    each,
    embeddings_at,
    keys_at,
    look_up,
)
from al_core.errors import ConfigError
from al_core.features.embedding_files import read_embeddings
from al_core.loop.query import check_numbers, committee_for
from al_core.models.linear_heads import Heads, fit_head
from al_core.models.metrics import evaluate
from al_core.progress import Progress, Work
from al_core.seeds import generator, numpy_generator
from al_core.strategies.candidates import LIMIT, Candidates
from al_core.strategies.registry import STRATEGIES, TOO_FEW


@dataclass(frozen=True, slots=True)
class Choice:
    """How to choose the ``n`` images to label after ``round``. Strategies that need the whole pool
    get a uniform ``sample`` of at most so many images."""

    strategy: str
    n: int
    round: int = 0
    seed: int = 0
    sample: int = LIMIT


@dataclass(frozen=True, slots=True)
class Chosen:
    """A batch: the ``keys`` of its images, best first, and the ``scores`` that ranked them, if any.

    It was chosen from ``unlabeled`` images, or a uniform ``sample`` of them where that is given, by
    a head fit to ``labeled`` ones. ``penalty`` and ``temperature`` are the head's, None where there
    were too few labels to fit one; ``metrics``, its metrics on the test images; ``seconds``, the
    time of each step.
    """

    keys: list[str]
    scores: list[float] | None
    labeled: int
    unlabeled: int
    sample: int | None
    penalty: float | None
    temperature: float | None
    metrics: dict[str, Any] | None
    seconds: dict[str, float]


def round_in_parts(
    folder: Path,
    labels: Mapping[str, int | None],
    test: Mapping[str, int | None],
    classes: int,
    choice: Choice,
    run: Map = map,
) -> Work[Chosen]:
    """Fit a head to ``labels``, class numbers by key (None: skipped, and not asked again), measure
    it on ``test``, and choose from all other images of ``folder``.

    Whoever does the work, the same files, labels and choice give the same batch on the same kind of
    processor. It is the one that ``run_round`` and ``choose`` give for these images in memory, in
    the order of the files, unless a sample was taken. Raises ConfigError where labels have no
    embedding, files are damaged, or the strategy needs a head and the labels name fewer than two
    classes.
    """
    began = time.perf_counter()
    classes = max(classes, 2)  # labels may not have named any yet
    pool = yield from look_up(folder, {*labels, *test}, run)
    x, y = pool.known({key: label for key, label in labels.items() if key not in test})
    looked_up = time.perf_counter()

    yield Progress("Fitting", 0, 0, "", 0)
    training = generator(choice.seed, "round", choice.round, "training")
    strategy = STRATEGIES[choice.strategy]
    head = validation = metrics = None
    if len(set(y.tolist())) > 1:
        head, validation = fit_head(x, y, classes, training)
        seen, truth = pool.known(test)
        if len(truth):
            metrics = asdict(evaluate(_probs(head, seen, classes), truth))
    elif not strategy.starts:
        raise ConfigError(TOO_FEW.format(choice.strategy))
    fitted = time.perf_counter()

    if not pool.unlabeled:
        raise ConfigError(f"All images of {folder} have a label; none is left to ask about.")
    choice = replace(choice, n=min(choice.n, pool.unlabeled))
    sample = scores = None
    chance = generator(choice.seed, "batch", choice.round)
    if strategy.ranks or choice.strategy == "random":
        heads = committee_for(choice.strategy, x, y, classes, chance) if head else None
        score = partial(_scored, choice.strategy, head, heads, classes)
        best = yield from _rank(pool, score, choice.n, chance, run)
        places = best.places
        scores = best.scores.tolist() if strategy.ranks else None
    else:
        sample = min(max(choice.sample, choice.n), pool.unlabeled)
        some, embeddings = yield from _sample(pool, sample, choice, run)
        candidates = Candidates(
            _probs(head, embeddings, classes),
            embeddings,
            x if len(x) else embeddings[:0],
            temperature=validation.temperature if validation else 1.0,
        )
        yield Progress("Choosing", 0, 0, "", 0)
        places = some[strategy.choose(candidates, choice.n, chance).numpy()]
    keys = yield from keys_at(pool, places, run)
    return Chosen(
        keys=keys,
        scores=scores,
        labeled=len(y),
        unlabeled=pool.unlabeled,
        sample=sample,
        penalty=validation.penalty if validation else None,
        temperature=validation.temperature if validation else None,
        metrics=metrics,
        seconds={
            "look_up": looked_up - began,
            "fit": fitted - looked_up,
            "choose": time.perf_counter() - fitted,
        },
    )


def _sample(
    pool: PoolInParts, n: int, choice: Choice, run: Map
) -> Work[tuple[NDArray[np.int64], Tensor]]:
    """``n`` of the unknown images, drawn uniformly: positions, ascending, and their embeddings."""
    chance = numpy_generator(choice.seed, "sample", choice.round)
    numbers = np.sort(chance.choice(pool.unlabeled, n, replace=False, shuffle=False))
    # The k-th unknown image is at position k plus the number of known images before it.
    before = pool.places - np.arange(len(pool.places))
    places = numbers + np.searchsorted(before, numbers, side="right")
    embeddings = yield from embeddings_at(pool, places, run)
    check_numbers(embeddings)
    return places, embeddings


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Positions of images, their scores, float32, and the numbers drawn to break ties."""

    places: NDArray[np.int64]
    scores: Tensor
    ties: Tensor

    def best(self, n: int) -> _Ranked:
        """The ``n`` highest scores, ties in the order of the drawn numbers, as in
        :func:`al_core.strategies.candidates.highest`."""
        order = self.ties.argsort()
        order = order[self.scores[order].argsort(descending=True, stable=True)[:n]]
        return _Ranked(self.places[order.numpy()], self.scores[order], self.ties[order])

    @staticmethod
    def of(several: Iterable[_Ranked]) -> _Ranked:
        several = list(several)
        return _Ranked(
            np.concatenate([one.places for one in several]),
            torch.cat([one.scores for one in several]),
            torch.cat([one.ties for one in several]),
        )


def _rank(
    pool: PoolInParts,
    score: Callable[[Tensor], Tensor],
    n: int,
    generator: torch.Generator,
    run: Map,
) -> Work[_Ranked]:
    """The ``n`` best of the pool: the best of each task's own best."""

    def drawn() -> Iterator[Stretch]:
        """The tasks in order, drawing the same numbers as for the whole pool at once."""
        for stretch in pool.stretches(pool.places):
            yield replace(stretch, state=generator.get_state())
            _draw(sum(stretch.counts) - len(stretch.places), generator)

    best = [_Ranked(np.empty(0, np.int64), torch.empty(0), torch.empty(0, dtype=torch.float64))]

    def take(some: _Ranked) -> None:
        best[0] = _Ranked.of([best[0], some]).best(n)

    work = partial(_best_of, score, n)
    yield from each(run, work, drawn(), "Choosing", len(pool.files), take)
    return best[0]


def _best_of(score: Callable[[Tensor], Tensor], n: int, stretch: Stretch) -> _Ranked:
    """In a task: the ``n`` best unknown images of its files."""
    generator = torch.Generator()
    assert stretch.state is not None
    generator.set_state(stretch.state)
    best: list[_Ranked] = []
    for file, start, closed in stretch.each():
        with damage_told(file):
            embeddings = read_embeddings(file)
        rows = np.delete(np.arange(len(embeddings)), closed)
        scores = score(torch.from_numpy(embeddings[rows]))
        best = [_Ranked.of([*best, _Ranked(start + rows, scores, _draw(len(rows), generator))])]
        best = [best[0].best(n)]
    return best[0]


def _scored(
    strategy: str, head: Heads | None, heads: Heads | None, classes: int, embeddings: Tensor
) -> Tensor:
    """The scores, float32 ``[N]``, of images by their embeddings; 0 for strategies without any."""
    if not STRATEGIES[strategy].ranks or not len(embeddings):
        return torch.zeros(len(embeddings))
    votes = heads.logits(embeddings).softmax(2) if heads else None
    nothing = embeddings[:0]
    candidates = Candidates(_probs(head, embeddings, classes), nothing, nothing, votes)
    scores = STRATEGIES[strategy].score(candidates)
    assert scores is not None
    return scores


def _probs(head: Heads | None, embeddings: Tensor, classes: int) -> Tensor:
    """Probabilities ``[N,C]``; without a head, all classes are equally likely."""
    if head is None:
        return torch.full((len(embeddings), classes), 1 / classes)
    probs = head.logits(embeddings)[0].softmax(1)
    check_numbers(probs)
    return probs


def _draw(n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` numbers as :func:`al_core.strategies.candidates.shuffled` does."""
    return torch.empty(n, dtype=torch.float64).uniform_(generator=generator)
