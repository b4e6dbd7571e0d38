"""The bound on wrong labels among those accepted: exact probabilities, no simulation."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_core.experiment.certificate import (
    Audited,
    allowed,
    error_left,
    holds,
    looks_needed,
    most_wrong,
)

ERROR = 0.05
groups_seen = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8), st.integers(0, 60)).map(
        lambda n: Audited(sum(n) or 1, n[0], n[1])
    ),
    min_size=1,
    max_size=4,
)
targets = st.sampled_from([0.5, 0.8, 0.9, 0.97, 0.99, 1.0])


def ever_wrong(sizes: Sequence[int], wrong: Sequence[int]) -> float:
    """The probability that somebody who looks at all labels of groups of these ``sizes``, with so
    many ``wrong``, one after another, ever reads a bound below the truth. Looks go where the last
    one found a wrong label, and else to the group with fewer of them, as one might."""
    start = tuple((0, 0) for _ in sizes)
    likely, misled = {(start, 0): 1.0}, 0.0
    for _ in range(sum(sizes)):
        after: defaultdict[tuple, float] = defaultdict(float)
        for (seen, last), p in likely.items():
            left = [n - r - f for n, (r, f) in zip(sizes, seen, strict=True)]
            order = [last, *sorted(range(len(sizes)), key=lambda g: sum(seen[g]))]
            g = next(one for one in order if left[one])
            right_so_far, found = seen[g]
            chance = (wrong[g] - found) / left[g]
            for is_wrong, q in ((1, chance), (0, 1 - chance)):
                if q > 0:
                    now = (right_so_far + 1 - is_wrong, found + is_wrong)
                    state = (*seen[:g], now, *seen[g + 1 :])
                    to = g if is_wrong else min(range(len(sizes)), key=lambda h: sum(state[h]))
                    after[state, to] += p * q
        likely = {}
        for (seen, last), p in after.items():
            audited = [Audited(n, *one) for n, one in zip(sizes, seen, strict=True)]
            if most_wrong(audited, ERROR) < sum(wrong):
                misled += p
            else:
                likely[seen, last] = p
    return misled


@pytest.mark.parametrize("size", [1, 7, 40])
def test_whoever_looks_after_each_look_reads_a_wrong_bound_as_seldom_as_said(size: int) -> None:
    found = [ever_wrong([size], [wrong]) for wrong in range(size // 2 + 1)]
    assert max(found) <= ERROR
    if size == 40:
        assert max(found) > ERROR / 4  # it is no idle bound


@pytest.mark.parametrize("sizes", [(9, 14), (4, 5, 6)])
def test_nor_with_several_groups_however_wrong_labels_lie_in_them(sizes: tuple[int, ...]) -> None:
    several = [w for w in product(*(range(n // 2 + 1) for n in sizes)) if sum(w) <= 6]
    assert max(ever_wrong(sizes, wrong) for wrong in several) <= ERROR


@given(groups_seen, targets)
def test_the_bound_lies_between_what_was_found_and_what_nobody_has_seen(
    groups: list[Audited], target: float
) -> None:
    most = most_wrong(groups, ERROR)
    found, unseen = sum(g.wrong for g in groups), sum(g.unseen for g in groups)
    assert found <= most <= found + unseen
    assert holds(groups, target, ERROR) == (most <= allowed(groups, target))
    assert most_wrong(groups, 0.01) >= most


@given(groups_seen, st.data())
def test_a_look_that_finds_a_wrong_label_never_helps(
    groups: list[Audited], data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(range(len(groups))))
    one = groups[place]
    if not one.right:
        return
    worse = Audited(one.size, one.right - 1, one.wrong + 1)
    others = [*groups[:place], worse, *groups[place + 1 :]]
    assert most_wrong(others, ERROR) >= most_wrong(groups, ERROR)


def test_how_many_looks_are_needed() -> None:
    assert looks_needed([Audited(5000)], 0.97, ERROR) == 115  # 99 at least, of any method
    assert 115 <= looks_needed([Audited(300)] * 16, 0.97, ERROR) <= 130
    assert looks_needed([Audited(5000, 115)], 0.97, ERROR) == 0
    assert looks_needed([Audited(5000, 114, 1)], 0.97, ERROR) > 100
    assert looks_needed([Audited(23)], 0.97, ERROR) == 23  # all of so few
    assert looks_needed([Audited(23, 5, 1)], 0.97, ERROR) is None
    assert looks_needed([Audited(5000, 90, 10)], 0.97, ERROR) is None
    assert sum(error_left(ERROR, again) for again in range(100)) <= ERROR
