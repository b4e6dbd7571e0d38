"""A round of a linear head on embeddings too large for memory: what ``run_round`` and
``query.choose`` do with a whole pool, file by file, with the same numbers and the same choice.

Memory holds the embeddings of the labelled images and, of the rest, the best so far or a sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.distributed.embedding_pool import (
    EmbeddingPool,
    Map,
    PoolFile,
    each,
    embeddings_at,
    keys_at,
    look_up,
    rows_at,
)
from al_core.errors import ConfigError
from al_core.loop.query import Choice, check_numbers, committee_for
from al_core.models.linear_heads import Heads, fit_head
from al_core.models.metrics import evaluate
from al_core.progress import Progress, Work
from al_core.seeds import generator, numpy_generator
from al_core.strategies.candidates import Candidates, ranked, ties
from al_core.strategies.registry import STRATEGIES, TOO_FEW, Strategy


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


def streamed_round(
    folder: Path,
    labels: Mapping[str, int | None],
    test: Mapping[str, int | None],
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
    named = {label for label in (*labels.values(), *test.values()) if label is not None}
    classes = max({1, *named}) + 1  # labels may not have named any yet
    pool = yield from look_up(folder, {*labels, *test}, run)
    x, y = pool.known({key: label for key, label in labels.items() if key not in test})
    looked_up = time.perf_counter()

    yield Progress("Fitting", 0, 0, "", 0)
    training = generator(choice.seed, "round", choice.number, "training")
    strategy = STRATEGIES[choice.strategy]
    head = validation = metrics = None
    if len(set(y.tolist())) > 1:
        head, validation = fit_head(x, y, classes, training)
        seen, truth = pool.known(test)
        if len(truth):
            metrics = asdict(evaluate(_probs(head, seen), truth))
    elif not strategy.starts:
        raise ConfigError(TOO_FEW.format(choice.strategy))
    fitted = time.perf_counter()

    if not pool.unlabeled:
        raise ConfigError(f"All images of {folder} have a label; none is left to ask about.")
    n = min(choice.n, pool.unlabeled)
    sample = scores = None
    chance = choice.chance
    if strategy.ranks or choice.strategy == "random":
        heads = committee_for(strategy, x, y, classes, chance) if head else None
        best = yield from _rank(pool, partial(_scored, strategy, head, heads), n, chance, run)
        places = best.places.numpy()
        scores = best.scores.tolist() if strategy.ranks else None
    else:
        sample = min(max(choice.sample, n), pool.unlabeled)
        some = _drawn(pool, sample, choice)
        rows = yield from rows_at(pool, some, embeddings_at, "Sampling", run)
        embeddings = torch.from_numpy(rows)
        candidates = Candidates(
            _probs(head, embeddings) if head else torch.full((sample, classes), 1 / classes),
            embeddings,
            x if len(x) else embeddings[:0],
        )
        yield Progress("Choosing", 0, 0, "", 0)
        places = some[strategy.choose(candidates, n, chance)[0].numpy()]
    keys = yield from rows_at(pool, places, keys_at, "Looking up names", run)
    return Chosen(
        keys=keys.tolist(),
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


def _drawn(pool: EmbeddingPool, n: int, choice: Choice) -> NDArray[np.int64]:
    """The positions of ``n`` of the unknown images, drawn uniformly, ascending."""
    chance = numpy_generator(choice.seed, "sample", choice.number)
    numbers = np.sort(chance.choice(pool.unlabeled, n, replace=False, shuffle=False))
    # The k-th unknown image is at position k plus the number of known images before it.
    before = pool.places - np.arange(len(pool.places))
    return numbers + np.searchsorted(before, numbers, side="right")


class _Ranked(NamedTuple):
    """Positions of images, int64, their scores, float32, and the numbers drawn to break ties."""

    places: Tensor
    scores: Tensor
    drawn: Tensor


def _best(n: int, several: Iterable[_Ranked]) -> _Ranked:
    """The ``n`` highest scores, ties in the order of the drawn numbers."""
    places, scores, drawn = (torch.cat(column) for column in zip(*several, strict=True))
    best = ranked(scores, drawn.argsort())[:n]
    return _Ranked(places[best], scores[best], drawn[best])


def _rank(
    pool: EmbeddingPool,
    score: Callable[[Tensor], Tensor],
    n: int,
    generator: torch.Generator,
    run: Map,
) -> Work[_Ranked]:
    """The ``n`` best of the pool: the best of each task's own best."""

    def tasks() -> Iterator[tuple[Tensor, list[PoolFile]]]:
        """Each with the generator's state, which draws the same as for the whole pool at once."""
        for files in pool.tasks(pool.places):
            yield generator.get_state(), files
            ties(sum(file.images - len(file.rows) for file in files), generator)

    best: list[_Ranked] = []

    def take(some: _Ranked) -> None:
        best[:] = [_best(n, [*best, some])]

    answers = run(partial(_best_of, score, n), tasks())
    yield from each(answers, "Choosing", len(pool.files), take)
    return best[0]


def _best_of(
    score: Callable[[Tensor], Tensor], n: int, task: tuple[Tensor, list[PoolFile]]
) -> _Ranked:
    """In a task: the ``n`` best of its files, without their known images."""
    state, files = task
    generator = torch.Generator()
    generator.set_state(state)
    best: list[_Ranked] = []
    for file in files:
        rows = np.delete(np.arange(file.images), file.rows)
        scores = score(torch.from_numpy(embeddings_at(file.path, rows)))
        places = torch.from_numpy(file.start + rows)
        best = [_best(n, [*best, _Ranked(places, scores, ties(len(rows), generator))])]
    return best[0]


def _scored(
    strategy: Strategy, head: Heads | None, heads: Heads | None, embeddings: Tensor
) -> Tensor:
    """The scores, float32 ``[N]``, of images by their embeddings; 0 for strategies without any."""
    if head is None or not strategy.ranks or not len(embeddings):
        return torch.zeros(len(embeddings))
    votes = heads.logits(embeddings).softmax(2) if heads else None
    nothing = embeddings[:0]
    scores = strategy.score(Candidates(_probs(head, embeddings), nothing, nothing, votes))
    assert scores is not None
    return scores


def _probs(head: Heads, embeddings: Tensor) -> Tensor:
    """Probabilities ``[N,C]``."""
    probs = head.logits(embeddings)[0].softmax(1)
    check_numbers(probs)
    return probs
