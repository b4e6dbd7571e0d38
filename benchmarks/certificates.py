"""How often a certificate is wrong, and how many looks it takes: ``python -m
benchmarks.certificates``.

Somebody accepts 4,000 labels, wants 97% of them to be right, and looks at one after another, in
random order, asking after each whether the certificate holds: until it does, or all were seen. The
truth is known, so it is counted how many of the certificates that were given are wrong.

*Skipped*: a third of the wrong labels and one of 200 right ones are, and count as wrong. *Moved*:
at the third wrong label, four times at most, the threshold moves, which leaves out a quarter of the
labels, and begins anew; it is moved to no purpose, or leaves out three quarters of the wrong ones.
*Drifting*: four groups that come one after another, each when the certificate of those before
holds, and each worse; after a thousand looks somebody gives up.

Beside it what an exact binomial bound takes, Clopper and Pearson's: how many looks, fixed before
the first, for it to hold in four runs of five; and how many of its certificates are wrong where
somebody asks after each look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import click
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from al_core.experiment.certificate import Audited, allowed, error_left, holds
from al_core.seeds import numpy_generator

SIZE, TARGET, ERROR = 4000, 0.97, 0.05
TOO_MANY = allowed([Audited(SIZE)], TARGET) + 1  # wrong labels, as few as that
SHARES = (0.005, 0.01, 0.015, 0.02)  # of wrong labels, that are few enough
POWER = 0.8
MOVES = 4
PATIENCE = 1000  # looks


@dataclass(frozen=True, slots=True)
class Run:
    """What somebody did: how many ``looks``, and whether each certificate that was given is
    ``true``."""

    looks: int
    true: tuple[bool, ...]


@lru_cache(64)
def boundary(size: int, error: float) -> NDArray[np.int64]:
    """The most wrong labels with which the certificate of one group holds after as many looks,
    int64 ``[size + 1]``; -1 where none may be."""
    most, found = np.full(size + 1, -1), -1
    for looks in range(size + 1):
        while found < looks and holds([Audited(size, looks - found - 1, found + 1)], TARGET, error):
            found += 1
        most[looks] = found
    return most


def drawn(wrong: int, size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which labels are wrong, in the order in which they are looked at."""
    return rng.permutation(size) < wrong


def one_group(is_wrong: NDArray[np.bool_], is_skipped: NDArray[np.bool_]) -> Run:
    size = len(is_wrong)
    found = np.append(0, np.cumsum(is_wrong | is_skipped))
    held = np.flatnonzero(found <= boundary(size, error_left(ERROR, 0)))
    if not len(held):
        return Run(size, ())
    return Run(int(held[0]), (int(is_wrong.sum()) <= allowed([Audited(size)], TARGET),))


def moved(wrong: int, helps: bool, rng: np.random.Generator) -> Run:
    """Of one group, of which a quarter is left out at the third wrong label."""
    size, looks = SIZE, 0
    for move in range(MOVES + 1):
        is_wrong = drawn(wrong, size, rng)
        found = np.append(0, np.cumsum(is_wrong))
        held = np.flatnonzero(found <= boundary(size, error_left(ERROR, move)))
        third = np.flatnonzero(found == 3)
        if len(held) and (move == MOVES or not len(third) or held[0] < third[0]):
            return Run(looks + int(held[0]), (wrong <= allowed([Audited(size)], TARGET),))
        if move == MOVES or not len(third):
            return Run(looks + size, ())
        looks += int(third[0])
        size = size * 3 // 4
        # To no purpose: as many are left as make it just too bad again.
        few = allowed([Audited(size)], TARGET) + 1
        wrong = (wrong - 3) // 4 if helps else min(few, wrong - 3)
    raise AssertionError("the last move ends it")


def drifting(wrong: list[int], size: int, rng: np.random.Generator) -> Run:
    """Of groups of one ``size`` that come, with so many ``wrong`` labels, as the certificate of
    those before holds. A look goes to the group of which the least was seen."""
    labels = [drawn(one, size, rng) for one in wrong]
    seen, looks, true = [Audited(size)], 0, []
    while True:
        while not holds(seen, TARGET, error_left(ERROR, 0)):
            g = max(range(len(seen)), key=lambda g: seen[g].unseen)
            one, looks = seen[g], looks + 1
            if looks > PATIENCE or not one.unseen:
                return Run(looks - 1, tuple(true))
            is_wrong = bool(labels[g][one.right + one.wrong])
            seen[g] = Audited(size, one.right + (not is_wrong), one.wrong + is_wrong)
        true.append(sum(wrong[: len(seen)]) <= allowed(seen, TARGET))
        if len(seen) == len(wrong):
            return Run(looks, tuple(true))
        seen.append(Audited(size))


def binomial_boundary() -> NDArray[np.int64]:
    """The most wrong labels with which the exact binomial bound holds, by looks."""
    looks = np.arange(SIZE + 1)
    most = np.full(SIZE + 1, -1)
    for found in range(TOO_MANY + 1):
        enough = stats.beta.ppf(1 - ERROR, found + 1, np.maximum(looks - found, 1)) <= 1 - TARGET
        most[enough & (looks > found)] = found
    return most


def fixed_looks(wrong: int) -> int | None:
    """How many looks, fixed beforehand, the binomial bound takes to hold with a chance of POWER."""
    chance = stats.hypergeom.cdf(binomial_boundary(), SIZE, wrong, np.arange(SIZE + 1))
    enough = np.flatnonzero(chance >= POWER)
    return int(enough[0]) if len(enough) else None


def peeked(wrong: int, runs: int) -> float:
    """The share of runs in which the binomial bound, asked after each look, certifies."""
    rng, most = numpy_generator(0, "binomial", wrong), binomial_boundary()
    at = [np.append(0, np.cumsum(drawn(wrong, SIZE, rng))) for _ in range(runs)]
    return float(np.mean([bool((found <= most).any()) for found in at]))


def row(name: str, runs: list[Run], beside: str = "") -> str:
    """Of a table: the runs of one kind of person."""
    looks = np.array([run.looks for run in runs if run.true])
    given = len(looks) / len(runs)
    untrue = np.mean([not all(run.true) for run in runs])
    cells = [f"{n:.0f}" for n in np.quantile(looks, (0.5, POWER))] if len(looks) else ["–", "–"]
    return f"| {name} | {given:.1%} | {untrue:.2%} | {' | '.join(cells)} | {beside} |"


def scenarios(runs: int) -> Iterator[str]:
    nobody = np.zeros(SIZE, bool)
    for share in (*SHARES, None):
        wrong = TOO_MANY if share is None else round(share * SIZE)
        name = f"{1 - wrong / SIZE:.2%} right"
        rng = numpy_generator(0, name)
        found = [one_group(drawn(wrong, SIZE, rng), nobody) for _ in range(runs)]
        if share is None:
            beside = f"asked after each look: {peeked(wrong, runs):.1%} wrong"
        else:
            beside = f"{fixed_looks(wrong)}"
        yield row(name, found, beside)
    for wrong in (40, TOO_MANY):
        name = f"the same, {1 - wrong / SIZE:.2%}, skipped"
        rng = numpy_generator(0, name)
        labels = [drawn(wrong, SIZE, rng) for _ in range(runs)]
        skips = [rng.random(SIZE) < np.where(one, 1 / 3, 1 / 200) for one in labels]
        yield row(name, [one_group(*both) for both in zip(labels, skips, strict=True)])
    for wrong, helps in ((160, True), (TOO_MANY, False)):
        name = f"{1 - wrong / SIZE:.2%}, moved {'' if helps else 'to no purpose'}".strip()
        rng = numpy_generator(0, name)
        yield row(name, [moved(wrong, helps, rng) for _ in range(runs)])
    for wrong_in in ([5, 8, 12, 15], [5, 20, 40, TOO_MANY - 65]):
        name = f"{1 - sum(wrong_in) / SIZE:.2%}, drifting"
        rng = numpy_generator(0, name)
        yield row(name, [drifting(wrong_in, SIZE // 4, rng) for _ in range(runs)])


@click.command()
@click.option("--runs", default=2000, show_default=True)
def main(runs: int) -> None:
    """Print a table."""
    print(f"{date.today()}, {SIZE:,} labels, {TARGET:.0%} to be right, {1 - ERROR:.0%} confidence; "
          f"{runs:,} runs\n")  # fmt: skip
    print("| accepted | certified | wrongly, of all runs | looks, median | looks, 80% | exact "
          "binomial |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for line in scenarios(runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
