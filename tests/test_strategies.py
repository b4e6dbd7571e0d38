"""Strategies, on probabilities small enough to check by eye."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from al_core.errors import ConfigError
from al_core.strategies.candidates import Candidates
from al_core.strategies.coverage import herding_radius, typicality
from al_core.strategies.registry import STRATEGIES
from al_core.strategies.uncertainty import bald, entropy, least_confidence, margin, variation_ratio

PROBS = torch.tensor([
    [0.90, 0.05, 0.05],  # sure
    [0.50, 0.49, 0.01],  # two are close
    [0.40, 0.30, 0.30],  # the best guess is the weakest, and everything is possible
    [0.60, 0.20, 0.20],
])  # fmt: skip


def candidates(probs: torch.Tensor) -> Candidates:
    return Candidates(probs, torch.zeros(len(probs), 4), torch.zeros(1, 4))


def choose(name: str, probs: torch.Tensor, n: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return STRATEGIES[name].choose(candidates(probs), n, generator)[0].tolist()


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("least_confidence", [2, 1, 3, 0]),
        ("margin", [1, 2, 3, 0]),
        ("entropy", [2, 3, 1, 0]),
    ],
)
def test_ranking_strategies_order_four_images_as_their_papers_say(name: str, order: list) -> None:
    assert choose(name, PROBS, 4) == order


def test_scores_are_the_formulas_of_their_papers() -> None:
    assert least_confidence(PROBS)[2].item() == pytest.approx(0.6)
    assert margin(PROBS)[1].item() == pytest.approx(-0.01)
    assert entropy(torch.tensor([[0.5, 0.5]])).item() == pytest.approx(0.693147)
    assert entropy(torch.tensor([[1.0, 0.0]])).item() == 0
    # Two members: of one mind, torn alike, each sure of another class.
    votes = torch.tensor([[[1.0, 0], [0.5, 0.5], [1, 0]], [[1, 0], [0.5, 0.5], [0, 1]]])
    assert bald(votes).tolist() == pytest.approx([0, 0, 0.693147], abs=1e-6)
    assert variation_ratio(votes).tolist() == [0, 0, 0.5]


@given(
    name=st.sampled_from(sorted(STRATEGIES)),
    size=st.integers(1, 40),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_every_strategy_returns_exactly_n_distinct_positions_and_repeats_itself(
    name: str, size: int, share: float, seed: int
) -> None:
    n = round(share * size)
    probs = torch.rand(size, 5, generator=torch.Generator().manual_seed(seed)).softmax(1)
    chosen = choose(name, probs, n, seed)
    assert len(chosen) == n == len(set(chosen))
    assert set(chosen) <= set(range(size))
    assert chosen == choose(name, probs, n, seed)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_asking_for_more_than_the_pool_holds_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="only 4 are left"):
        choose(name, PROBS, 5)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_ties_are_broken_by_the_generator_not_by_position(name: str) -> None:
    alike = torch.full((100, 4), 0.25)
    assert choose(name, alike, 10, seed=1) != choose(name, alike, 10, seed=2)


def test_the_readme_lists_the_strategies_and_what_they_need() -> None:
    rows = [
        f"| `{name}` | {entry.asks_about} | {' and '.join(entry.needs) or 'nothing'} |"
        for name, entry in STRATEGIES.items()
    ]
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "\n".join(rows) in readme
    assert [name for name, entry in STRATEGIES.items() if not entry.paper] == ["random"]


def on_a_circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def apart(degrees: float) -> float:
    """The distance of two points on the circle."""
    return 2 * math.sin(math.radians(degrees) / 2)


def picks(name: str, points: torch.Tensor, labeled: torch.Tensor, n: int, **more: object) -> list:
    probs = more.pop("probs", torch.full((len(points), 2), 0.5))
    seen = Candidates(probs, points, labeled, **more)
    return STRATEGIES[name].choose(seen, n, torch.Generator().manual_seed(0))[0].tolist()


def test_the_radius_of_uncertainty_herding_is_how_far_labels_lie_apart_copies_or_not() -> None:
    labels = on_a_circle(*range(0, 360, 20))
    assert herding_radius(labels) == pytest.approx(apart(20), abs=1e-4)
    assert herding_radius(labels[::2]) == pytest.approx(apart(40), abs=1e-4)
    copies = on_a_circle(*(angle + 0.1 for angle in range(0, 360, 20)))
    assert herding_radius(torch.cat([labels, copies])) == pytest.approx(apart(20), abs=0.01)
    assert herding_radius(on_a_circle(0, 90)) == 1  # never wider than without labels
    assert herding_radius(labels[:1].repeat(5, 1)) == herding_radius(labels[:0]) == 1


def test_uncertainty_herding_asks_where_the_model_is_unsure_not_where_most_images_lie() -> None:
    """A large heap it is sure of, a small one it is not, both far from what is labelled."""
    points = on_a_circle(*[100.0] * 30, *[200.0] * 10)
    labeled = on_a_circle(0, 20, 340)
    sure = torch.tensor([[0.99, 0.01]] * 30 + [[0.55, 0.45]] * 10)
    assert picks("maxherding", points, labeled, 1)[0] < 30
    assert picks("uherding", points, labeled, 1, probs=sure)[0] >= 30
    # Softened, the heaps are nearly as unsure as each other.
    soft = (sure.log() / 10).softmax(1)
    assert picks("uherding", points, labeled, 1, probs=soft)[0] < 30


def test_balanced_selection_asks_about_each_class_alike_where_margin_forgets_the_rare_one() -> None:
    torn, rare, sure = [0.5, 0.49, 0.01], [0.64, 0.06, 0.3], [0.98, 0.01, 0.01]
    probs = torch.tensor([torn] * 20 + [rare] * 2 + [sure] * 20)
    assert all(pick < 20 for pick in choose("margin", probs, 6))
    picks = choose("base", probs, 6)
    assert sum(pick < 20 for pick in picks) == 4  # two of each of the classes it is torn between
    assert {20, 21} < set(picks)
    assert {20, 21} & set(picks[:3])  # the nearest of every class come first


def test_balanced_selection_looks_at_both_sides_of_a_boundary() -> None:
    probs = torch.tensor([[0.9, 0.1], [0.55, 0.45], [0.48, 0.52], [0.01, 0.99]])
    assert set(choose("base", probs, 2)) == {1, 2}


def test_where_there_are_fewer_questions_than_classes_chance_says_which_are_asked_about() -> None:
    probs = torch.eye(8) * 0.1 + 0.1
    assert len({choose("base", probs, 1, seed=seed)[0] for seed in range(20)}) > 3


@pytest.mark.parametrize("name", ["typiclust", "probcover", "maxherding", "uherding", "k_center"])
def test_what_is_like_a_labelled_image_is_not_asked_about(name: str) -> None:
    heaps = [on_a_circle(*torch.linspace(a - 2, a + 2, 15).tolist()) for a in (0, 90, 180, 270)]
    labeled = on_a_circle(0, 180)
    assert {pick // 15 for pick in picks(name, torch.cat(heaps), labeled, 2)} == {1, 3}


def test_the_most_typical_image_of_a_heap_is_not_at_its_edge() -> None:
    heap = on_a_circle(*torch.linspace(-30, 30, 41).tolist())
    assert abs(picks("typiclust", heap, heap[:0], 1)[0] - 20) <= 10
    assert typicality(heap).argmin() in (0, 40)


def test_a_large_pool_is_compared_in_blocks_and_chosen_from_as_a_small_one() -> None:
    generator = torch.Generator().manual_seed(0)
    points, labeled = (torch.randn(n, 3, generator=generator) for n in (9000, 4))
    mine = picks("k_center", points, labeled, 12)
    nearest = torch.cdist(points, labeled).amin(1)
    for pick in mine:
        assert nearest[pick] == pytest.approx(nearest.max().item(), rel=1e-4)
        nearest = torch.minimum(nearest, torch.cdist(points, points[pick : pick + 1])[:, 0])


@pytest.mark.parametrize("name", ["probcover", "maxherding", "uherding", "typiclust"])
def test_a_pool_too_large_to_compare_is_sampled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_core.strategies.candidates.LIMIT", 40)
    monkeypatch.setattr("al_core.strategies.coverage.REFERENCES", 20)
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    chosen = picks(name, points, points[:0], 30)
    assert len(set(chosen)) == 30
    assert max(chosen) > 40  # an even sample, not the first
    assert len(set(picks(name, points, points[:0], 60))) == 60
