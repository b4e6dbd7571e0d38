"""Strategies beside those of scikit-activeml and modAL, on random inputs."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from al_core.strategies.candidates import Candidates
from al_core.strategies.coverage import REFERENCES
from al_core.strategies.registry import STRATEGIES

skactiveml = pytest.importorskip("skactiveml.classifier")
pool = pytest.importorskip("skactiveml.pool", reason="pip install scikit-activeml")
committees = pytest.importorskip("skactiveml.pool._query_by_committee")
modal = pytest.importorskip("modAL.uncertainty", reason="pip install modAL-python")

N, L, D, C = 120, 15, 8, 4
SEEDS = st.integers(0, 2**16)


def candidates(seed: int, spread: float = 1.0) -> Candidates:
    generator = torch.Generator().manual_seed(seed)
    points = spread * torch.randn(N + L, D, generator=generator)
    probs = torch.randn(N, C, generator=generator).softmax(1)
    votes = (2 * torch.randn(6, N, C, generator=generator)).softmax(2)
    return Candidates(probs, points[:N], points[N:], votes)


def chosen(name: str, seen: Candidates, n: int) -> list[int]:
    return STRATEGIES[name].choose(seen, n, torch.Generator().manual_seed(0))[0].tolist()


def queried(strategy: object, seen: Candidates, n: int, **more: object) -> list[int]:
    """What a strategy of scikit-activeml asks about; its pool holds the labelled ones behind."""
    points = torch.cat([seen.embeddings, seen.labeled_embeddings]).double().numpy()
    labels = np.append(np.full(N, np.nan), np.arange(L) % C)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(strategy.query(points, labels, batch_size=n, **more)).tolist()


class Given:
    """A classifier that says what it was given, as modAL wants it."""

    def __init__(self, probs: torch.Tensor) -> None:
        self.probs = probs.double().numpy()

    def predict_proba(self, _: object) -> np.ndarray:
        return self.probs


ROUNDING = 4 * np.finfo(np.float32).eps  # of ours; theirs are computed in double precision


def are_best(mine: list[int], scores: np.ndarray, n: int) -> bool:
    """Whether ``mine`` are n images with the highest scores; some may be as good as equal."""
    least = np.sort(scores)[::-1][n - 1]
    surely, perhaps = (
        set(np.flatnonzero(scores > least + ROUNDING)),
        set(np.flatnonzero(scores >= least - ROUNDING)),
    )
    return len(set(mine)) == n and surely <= set(mine) <= perhaps


@given(seed=SEEDS, n=st.integers(1, N))
def test_rankings_choose_what_modal_chooses(seed: int, n: int) -> None:
    seen = candidates(seed)
    for name, score in (
        ("least_confidence", modal.classifier_uncertainty),
        ("margin", lambda *args: -modal.classifier_margin(*args)),
        ("entropy", modal.classifier_entropy),
    ):
        theirs = score(Given(seen.probs), seen.embeddings)
        assert are_best(chosen(name, seen, n), theirs, n), name


@given(seed=SEEDS, n=st.integers(1, N))
def test_committees_choose_what_scikit_activeml_scores_highest(seed: int, n: int) -> None:
    seen = candidates(seed)
    votes = seen.votes.double().numpy()
    disagreement = committees.average_kl_divergence(votes)
    assert are_best(chosen("bald", seen, n), disagreement, n)
    ratios = committees.variation_ratios(votes.argmax(2).T)
    assert are_best(chosen("variation_ratio", seen, n), ratios, n)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 40))
def test_k_center_chooses_what_scikit_activeml_chooses(seed: int, n: int) -> None:
    seen = candidates(seed)
    assert chosen("k_center", seen, n) == queried(pool.CoreSet(random_state=0), seen, n)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 12))
def test_maxherding_chooses_what_scikit_activeml_chooses(seed: int, n: int) -> None:
    assert N <= REFERENCES
    seen = candidates(seed)
    theirs = queried(pool.MaxHerding(metric_dict={"gamma": 1.0}, random_state=0), seen, n)
    points = torch.nn.functional.normalize(seen.embeddings.double(), dim=1)
    labeled = torch.nn.functional.normalize(seen.labeled_embeddings.double(), dim=1)

    def covered(picks: list[int]) -> float:
        centers = torch.cat([labeled, points[picks]])
        return torch.cdist(points, centers).square().neg().exp().amax(1).mean().item()

    # By what is covered, not by name: two images may cover alike to the last digit.
    mine = chosen("maxherding", seen, n)
    for some in range(1, n + 1):
        assert covered(mine[:some]) == pytest.approx(covered(theirs[:some]), abs=1e-6)


def gradients(seen: Candidates) -> torch.Tensor:
    """The outer products that BADGE is about, formed; ``[N, C * D]``."""
    errors = seen.probs.double() - torch.nn.functional.one_hot(seen.probs.argmax(1), C)
    return (errors[:, :, None] * seen.embeddings.double()[:, None]).flatten(1)


def potential(points: torch.Tensor, picks: list[int]) -> float:
    """What k-means++ makes small: squared distances to the nearest chosen point."""
    return torch.cdist(points, points[picks]).square().min(1).values.sum().item()


def plain_k_means_plus_plus(points: torch.Tensor, n: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    picks = [int(points.norm(dim=1).argmax())]
    while len(picks) < n:
        squares = torch.cdist(points, points[picks]).square().min(1).values
        squares[picks] = 0
        picks.append(int(squares.multinomial(1, generator=generator)))
    return picks


class Classifier(skactiveml.SklearnClassifier):
    """One that says what it was given, and has the points themselves as embeddings."""

    def __init__(self, probs: np.ndarray) -> None:
        super().__init__(None, classes=range(C))
        self.probs = probs

    def fit(self, *_: object) -> "Classifier":
        return self

    def predict_proba(self, X: np.ndarray, **_: object) -> np.ndarray:  # noqa: N803
        return self.probs[: len(X)]


def test_badge_draws_gradients_as_plain_k_means_plus_plus_does() -> None:
    """scikit-activeml counts the origin as a first centre, unlike the paper: it spreads less."""
    mine, plain, theirs = [], [], []
    for seed in range(60):
        seen = candidates(seed)
        points = gradients(seen)
        generator = torch.Generator().manual_seed(seed)
        mine.append(potential(points, STRATEGIES["badge"].choose(seen, 30, generator)[0].tolist()))
        plain.append(potential(points, plain_k_means_plus_plus(points, 30, seed)))
        classifier = Classifier(seen.probs.double().numpy())
        badge = pool.Badge(random_state=seed)
        theirs.append(potential(points, queried(badge, seen, 30, clf=classifier, fit_clf=False)))
        assert chosen("badge", seen, 1) == plain_k_means_plus_plus(points, 1, seed)
    apart = np.array(mine) - np.array(plain)
    assert abs(apart.mean()) < 3 * apart.std() / len(apart) ** 0.5
    assert np.mean(mine) < 1.01 * np.mean(theirs)


def heaps(seed: int) -> Candidates:
    """Twelve heaps of ten points, far apart, and nothing labelled."""
    generator = torch.Generator().manual_seed(seed)
    centers = 10 * torch.randn(12, D, generator=generator)
    points = centers.repeat_interleave(10, 0) + 0.1 * torch.randn(N, D, generator=generator)
    return Candidates(torch.full((N, 12), 1 / 12), points, points[:0])


@pytest.mark.parametrize("name", ["typiclust", "maxherding", "probcover", "k_center"])
def test_one_of_each_heap_is_chosen_as_scikit_activeml_does(name: str) -> None:
    theirs = {
        "typiclust": pool.TypiClust(random_state=0),
        "maxherding": pool.MaxHerding(metric_dict={"gamma": 1.0}, random_state=0),
        "probcover": pool.ProbCover(n_classes=12, random_state=0),
        "k_center": pool.CoreSet(random_state=0),
    }[name]
    for seed in range(5):
        seen = heaps(seed)
        assert {i // 10 for i in chosen(name, seen, 12)} == set(range(12))
        points = seen.embeddings.double().numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picks = theirs.query(points, np.full(N, np.nan), batch_size=12)
        if name != "probcover":  # whose radius there is one of a list for other data
            assert {int(i) // 10 for i in picks} == set(range(12))
