"""The map of the pool: who is on it, what it keeps together, and what it gives away."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from desk import QUICK

from al_core.analysis.pool_map import (
    MOST,
    MOST_LABELED,
    PoolMap,
    draw_map,
    load_map,
    sample_images,
    save_map,
)
from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import PoolPredictions
from al_core.progress import finish
from al_core.store.records import Annotation, Batch
from al_desk.results.pool_map import GUESS, HIDDEN, LABEL, NO_LABEL, map_table

NAMES = ("cat", "dog")
STEPS = 150


def clusters(count: int, each: int = 20, shift: int = 0) -> PoolPredictions:
    """Images in clusters far apart, in turn; ``shift`` turns what is embedded where."""
    rng = np.random.default_rng(shift)
    embeddings = rng.normal(size=(count * each, 64))
    embeddings[np.arange(count * each), np.arange(count * each) % count + shift] += 40
    probs = np.tile(np.array([[0.2, 0.8]], np.float32), (count * each, 1))
    return PoolPredictions(0, probs, embeddings.astype(np.float16))


def centres(points: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """The middle of each cluster, and the largest distance of a point from its own."""
    groups = [points[start::count] for start in range(count)]
    middles = np.array([group.mean(0) for group in groups])
    spread = max(np.linalg.norm(g - m, axis=1).max() for g, m in zip(groups, middles, strict=True))
    return middles, spread


def distances(middles: np.ndarray) -> np.ndarray:
    between = np.linalg.norm(middles[:, None] - middles[None], axis=2)
    return between[np.triu_indices(len(middles), 1)]


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """And few neighbours: enough for eighty images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("al_core.analysis.pool_map.EARLY", 50)
        patch.setattr("al_core.analysis.pool_map.STEPS", STEPS)
        patch.setattr("al_core.analysis.pool_map.PERPLEXITY", 8)
        yield


@pytest.fixture(scope="module")
def drawn(few_steps: None) -> PoolMap:
    return finish(draw_map(clusters(4), np.arange(80), seed=0))


def test_clusters_that_lie_far_apart_stay_apart(drawn: PoolMap) -> None:
    middles, spread = centres(drawn.points, 4)
    assert distances(middles).min() > 2 * spread


def test_the_same_seed_draws_the_same_map(drawn: PoolMap) -> None:
    again = finish(draw_map(clusters(4), np.arange(80), seed=0))
    np.testing.assert_array_equal(again.points, drawn.points)


def test_a_map_begins_where_the_former_one_ended(drawn: PoolMap) -> None:
    """Another network embeds the same images elsewhere; each cluster keeps its side of the map."""
    turned = PoolMap(0, drawn.images, drawn.points @ np.array([[0, 1], [-1, 0]], np.float32))
    images = np.arange(80)
    after = finish(draw_map(clusters(4, shift=9), images, 0, former=turned))
    now, before = centres(after.points, 4)[0], centres(turned.points, 4)[0]
    cosine = (now * before).sum(1) / np.linalg.norm(now, axis=1) / np.linalg.norm(before, axis=1)
    assert cosine.min() > 0.7


def test_new_images_begin_where_the_most_alike_of_the_former_ones_lay(drawn: PoolMap) -> None:
    half = PoolMap(0, drawn.images[:40], drawn.points[:40])
    after = finish(draw_map(clusters(4), np.arange(80), 0, former=half))
    middles, spread = centres(after.points, 4)
    assert distances(middles).min() > 2 * spread


def test_a_few_images_and_images_that_are_all_alike_have_a_map_too() -> None:
    same = PoolPredictions(0, np.ones((100, 1), np.float32), np.ones((100, 8), np.float16))
    for said, count in ((clusters(2), 5), (same, 100)):
        drawn = finish(draw_map(said, np.arange(count), 0))
        assert np.isfinite(drawn.points).all()


def test_it_reports_its_steps_and_can_be_stopped_between_them() -> None:
    work = draw_map(clusters(2), np.arange(40), 0)
    reports = [next(work) for _ in range(3)]
    work.close()
    assert [report.fraction for report in reports] == [0, 10 / STEPS, 20 / STEPS]


def test_a_large_pool_is_sampled_and_all_that_is_chosen_is_on_it() -> None:
    chosen, labeled = list(range(0, 1000, 10)), np.arange(500, 8500)
    images = sample_images(50_000, chosen, labeled, seed=0)
    assert len(images) == MOST
    assert np.array_equal(images, np.unique(images))
    assert set(chosen) <= set(images.tolist())
    assert np.isin(images, np.setdiff1d(labeled, chosen)).sum() == MOST_LABELED


def test_a_small_pool_is_on_it_whole() -> None:
    assert sample_images(300, [7], np.arange(20), seed=0).tolist() == list(range(300))


def test_the_sample_hardly_changes_as_labels_are_added() -> None:
    before = sample_images(50_000, [1, 2], np.arange(100), seed=0)
    after = sample_images(50_000, [3, 4], np.arange(140), seed=0)
    assert len(np.intersect1d(before, after)) > MOST - 50


def test_a_map_is_kept_on_disk(tmp_path: Path) -> None:
    assert load_map(tmp_path) is None
    save_map(tmp_path, PoolMap(3, np.array([4, 7]), np.ones((2, 2), np.float32)))
    kept = load_map(tmp_path)
    assert kept is not None
    assert (kept.model, kept.images.tolist()) == (3, [4, 7])
    (tmp_path / "map.npz").write_bytes(b"damaged")
    assert load_map(tmp_path) is None


def test_the_guess_for_an_image_that_waits_for_its_label_stays_hidden() -> None:
    config = replace(QUICK, class_names=NAMES)
    batch = Batch(1, "margin", [2, 3], None)
    said = [Annotation(0, 0, 0, "me"), Annotation(3, 1, 1, "me")]
    experiment = Experiment(1, "", config, "", 4, tuple(said), (batch,), ())
    drawn = PoolMap(0, np.arange(4), np.zeros((4, 2), np.float32))
    table = map_table(experiment, drawn, clusters(2, 2)).set_index("image")
    assert table[GUESS].sort_index().tolist() == ["dog", "dog", HIDDEN, "dog"]
    assert table[LABEL].sort_index().tolist() == ["cat", NO_LABEL, NO_LABEL, "dog"]
    assert table["state"].tolist() == ["Unlabelled", "Labelled", "Chosen", "Chosen"]
    shown = replace(experiment, config=replace(config, show_guesses=True))
    assert HIDDEN not in set(map_table(shown, drawn, clusters(2, 2))[GUESS])
