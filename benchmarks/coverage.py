"""How often the 95% intervals hold the truth: ``python -m benchmarks.coverage``.

Test sets with classes of known sizes and recalls, drawn over and over: how often does the interval
of balanced accuracy, and that of macro F1, hold the value that those recalls and errors have on
average? And that of a change of balanced accuracy, between two networks on the same images? Beside
them, a bootstrap within classes.
"""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from al_core.analysis.stopping import gain_between
from al_core.models.metrics import MEASURABLE, estimate
from al_core.seeds import numpy_generator
from al_core.store.records import RoundRecord

SIZES = {
    "stamps": (49, 20, 17, 14, 11, 9, 8, 7, 6, 5, 4, 3, 3, 2, 1, 1),
    "1 to 49, evenly": tuple(range(1, 50, 3))[:16],
    "10 of 30": (30,) * 10,
    "100 to 2": (100, 60, 36, 22, 13, 8, 5, 3, 2, 2),
    "20 pairs": (2,) * 20,
    "495 and 5": (495, 5),
}
RECALLS = {
    "1% each": 0.01, "5% each": 0.05, "30% each": 0.3, "half each": 0.5, "70% each": 0.7,
    "95% each": 0.95, "99% each": 0.99, "rare ones never": (0.95, 0.0),
    "rare ones at 98%": (0.6, 0.98), "from 95% down to 5%": None,
}  # fmt: skip
ERRORS = ("by size", "commonest", "next")  # what a wrong image is taken for
RARE = 8  # images; classes of at most so many are rare ones
RESAMPLES = 200
BETTER = 0.3  # of the errors
ALIKE = (0.0, 0.7)  # how hard an image is for the two networks
Floats = NDArray[np.float64]


def rates(sizes: tuple[int, ...], recalls: str, errors: str) -> Floats:
    """How often an image of each class is taken for each class, ``[C,C]``."""
    n, chosen = np.array(sizes), RECALLS[recalls]
    if chosen is None:
        recall = np.linspace(0.95, 0.05, len(n))
    else:
        common, rare = chosen if isinstance(chosen, tuple) else (chosen, chosen)
        recall = np.where(n > RARE, common, rare)
    likely = {
        "by size": np.tile(n, (len(n), 1)),
        "commonest": np.tile(np.eye(len(n))[0] + 1e-9, (len(n), 1)),
        "next": np.roll(np.eye(len(n)), 1, axis=1),
    }[errors] * (1 - np.eye(len(n)))
    wrong = likely / likely.sum(1, keepdims=True)
    return np.diag(recall) + (1 - recall)[:, None] * wrong


def on_average(n: NDArray[np.int64], chances: Floats, measure: str) -> float:
    """The measure of the counts that ``n`` images of each class have on average."""
    counts, of_class = n[:, None] * chances, chances.diagonal()
    if measure == "f1":
        of_class = 2 * counts.diagonal() / (n + counts.sum(0))
    return float(of_class[n >= MEASURABLE].mean())


def covered(
    sizes: tuple[int, ...], recalls: str, errors: str, measure: str, trials: int
) -> tuple[float, float]:
    """The share of ``trials`` whose interval holds the truth, and its mean width."""
    rng = numpy_generator(0, "coverage", recalls, errors)
    n, chances = np.array(sizes), rates(sizes, recalls, errors)
    truth = on_average(n, chances, measure)
    found = [
        estimate({"confusion": rng.multinomial(n, chances)}, measure)  # type: ignore[arg-type]
        for _ in range(trials)
    ]
    held = np.mean([e.low - 1e-9 <= truth <= e.high + 1e-9 for e in found])
    return float(held), float(np.mean([e.high - e.low for e in found]))


def change_covered(
    sizes: tuple[int, ...], recalls: str, alike: float, trials: int
) -> tuple[float, float]:
    """The same for the change of balanced accuracy to a network with BETTER of the errors gone;
    an image is as hard for both networks as the correlation ``alike`` of how hard it is says."""
    rng = numpy_generator(0, "coverage of changes", recalls, f"{alike}")
    n, before = np.array(sizes), rates(sizes, recalls, "by size").diagonal()
    both = before, 1 - (1 - BETTER) * (1 - before)
    change = np.subtract(*[recall[n >= MEASURABLE].mean() for recall in both[::-1]])
    of, hard = np.repeat(np.arange(len(n)), n), norm.ppf(np.stack(both))
    found = []
    for _ in range(trials):
        image, own = rng.standard_normal(n.sum()), rng.standard_normal((2, n.sum()))
        right = alike**0.5 * image + (1 - alike) ** 0.5 * own < hard[:, of]
        records = [_record(np.bincount(of, weights=hits).astype(int), n) for hits in right]
        found.append(gain_between(*records, measure="balanced"))  # as the page does: phi unknown
    held = np.mean([g.low - 1e-9 <= change <= g.high + 1e-9 for g in found if g])
    return float(held), float(np.mean([g.high - g.low for g in found if g]))


def _record(right: NDArray[np.int64], n: NDArray[np.int64]) -> RoundRecord:
    """A round that recognised so many of each class, and took the others for the next class."""
    confusion = np.diag(right) + np.roll(np.diag(n - right), 1, axis=1)
    return RoundRecord(0, 1, {"confusion": confusion}, [], 0.0, 0.0, 0.0, 0.0, 0)


def by_bootstrap(sizes: tuple[int, ...], recalls: str, trials: int) -> float:
    """The coverage, for balanced accuracy, of percentiles of test sets drawn again within classes:
    what is taken for granted elsewhere."""
    rng = numpy_generator(0, "coverage by bootstrap", recalls)
    n = np.array(sizes)
    n, recall = n[n >= MEASURABLE], rates(sizes, recalls, "by size").diagonal()[n >= MEASURABLE]
    held = []
    for _ in range(trials):
        again = rng.binomial(n, rng.binomial(n, recall) / n, (RESAMPLES, len(n))) / n
        low, high = np.quantile(again.mean(1), (0.025, 0.975))
        held.append(low - 1e-9 <= recall.mean() <= high + 1e-9)
    return float(np.mean(held))


@click.command()
@click.option("--trials", default=2000, help="Test sets drawn for each row.")
def main(trials: int) -> None:
    """Coverage and mean width, the worst over what errors are taken for."""
    click.echo("| test set | recall | balanced accuracy | macro F1 | bootstrap, balanced "
               "| change of balanced, apart | alike |")  # fmt: skip
    click.echo("|---|---|---|---|---|---|---|")
    for name, sizes in SIZES.items():
        for recalls in RECALLS:
            cells, changes = [], []
            for measure in ("balanced", "f1"):
                held, width = min(covered(sizes, recalls, e, measure, trials) for e in ERRORS)
                cells.append(f"{100 * held:.1f}% ({100 * width:.1f})")
            again = f"{100 * by_bootstrap(sizes, recalls, trials // 4):.0f}%"
            for alike in ALIKE:
                held, width = change_covered(sizes, recalls, alike, trials)
                changes.append(f"{100 * held:.1f}% ({100 * width:.1f})")
            click.echo(f"| {' | '.join([name, recalls, *cells, again, *changes])} |")


if __name__ == "__main__":
    main()
