"""Which encoder: each judged by heads that have not seen the labels they are judged by."""

from pathlib import Path

import numpy as np
import pytest
from encoders import frozen
from scipy.stats import binomtest
from squares import CPU, config, of_squares

from al_core.config import ModelConfig
from al_core.errors import ConfigError
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.start import start_experiment
from al_core.features.embedding_files import file_named, write_file
from al_core.images.dataset import Dataset, identities
from al_core.loop.encoders_compared import EncodersCompared, compare_encoders
from al_core.loop.labels_so_far import FOLDS, LabelsSoFar
from al_core.models.metrics import estimate
from al_core.models.paired import p_of_gap
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.store.store import Store

GOOD, FAIR, NOISE = "timm/good", "timm/fair", "timm/noise"


def embeddings(dataset: Dataset, noise: float) -> np.ndarray:
    """The classes of the training images in ten dimensions, in so much noise."""
    rows = np.random.default_rng(1).normal(0, max(noise, 0.1), (len(dataset.train), 10))
    rows[np.arange(len(rows)), dataset.train.targets] += noise < 9
    return rows.astype(np.float16)


def keep(home: Path, dataset: Dataset, name: str, rows: np.ndarray, size: int = 224) -> None:
    """The embeddings of the first training images, as an encoder of that name would keep them."""
    digests = identities(dataset.train).tolist()[: len(rows)]
    of = {"weights": name[-4:], "image_size": size, "encoder": name, "architecture": ""}
    folder = home / "cache" / "features" / f"{name[-4:]}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    write_file(file_named(folder), dataset.train.keys[: len(rows)], digests, rows, of)


def labelled(dataset: Dataset, labels: np.ndarray) -> Experiment:
    """An experiment whose weights are nowhere, with labels of the first images."""
    settings = config(model=frozen("nowhere.safetensors"), image_size=16, initial_labels="person")
    number = start_experiment(Store(), f"of {len(labels)}", settings, dataset)
    answers = [Annotation(i, int(label), 0, "ada") for i, label in enumerate(labels)]
    Store().append(number, answers)
    return open_experiment(Store(), number)


def compared(experiment: Experiment, dataset: Dataset) -> EncodersCompared:
    return finish(compare_encoders(experiment, dataset, CPU))


def test_the_better_encoder_comes_first_and_what_chance_explains_is_said(home: Path) -> None:
    dataset = of_squares()
    for name, noise in ((NOISE, 9.0), (FAIR, 0.3), (GOOD, 0.1)):
        keep(home, dataset, name, embeddings(dataset, noise))
    keep(home, dataset, GOOD, embeddings(dataset, 9.0), size=448)
    keep(home, dataset, "timm/some", embeddings(dataset, 0.1)[:20])
    found = compared(labelled(dataset, dataset.train.targets[:45]), dataset)
    assert [row.title for row in found.rows][:2] == ["timm/good, 224 pixels", FAIR]
    assert (found.images, found.measure, found.partly) == (45, "accuracy", ("timm/some",))
    best, fair, *rest = found.rows
    assert best.model == ModelConfig(GOOD, head="linear")
    assert best.image_size == 224
    assert estimate(best.metrics).value == 1
    assert best.p is None
    assert fair.p > 0.05 > max(one.p for one in rest)
    for row in found.rows:
        shown = estimate(row.metrics)
        assert shown.low <= shown.value <= shown.high
        assert shown.value == pytest.approx(row.right.mean())
        assert sum(map(sum, row.metrics["confusion"])) == 45


def test_labels_that_say_nothing_are_recognised_as_often_as_by_chance(home: Path) -> None:
    """A head in forty dimensions knows forty labels by heart: it must not be asked about those."""
    dataset, rng = of_squares(), np.random.default_rng(3)
    keep(home, dataset, GOOD, rng.normal(size=(60, 40)).astype(np.float16))
    labels = rng.permutation(np.arange(60) % 3)
    (row,) = compared(labelled(dataset, labels), dataset).rows
    assert estimate(row.metrics).low < 1 / 3 < estimate(row.metrics).high


def test_too_few_labels_are_told_of_in_place_of_numbers(home: Path) -> None:
    dataset = of_squares()
    keep(home, dataset, GOOD, embeddings(dataset, 0.1))
    for labels, said in (([0, 1] * 4, "there are 8, of 2"), ([0] * 20, "there are 20, of 1")):
        with pytest.raises(ConfigError, match=said):
            compared(labelled(dataset, np.array(labels)), dataset)


def test_each_class_is_spread_over_the_folds_and_copies_lie_in_one() -> None:
    labels, groups = np.repeat([0, 1], (40, 10)), np.arange(50)
    groups[40:45] = 40  # five copies
    folds = LabelsSoFar(np.arange(50), labels, groups).folds(0)
    assert np.bincount(folds[:40]).tolist() == [8] * FOLDS
    assert len(set(folds[40:45].tolist())) == 1
    assert not np.array_equal(folds, LabelsSoFar(np.arange(50), labels, groups).folds(1))


@pytest.mark.parametrize(("only_one", "only_other"), [(9, 1), (12, 5), (3, 3)])
def test_of_equal_weight_images_that_change_sides_are_mcnemars_test(
    only_one: int, only_other: int
) -> None:
    one, other = np.ones((2, 100), bool)
    one[:only_other] = other[only_other : only_one + only_other] = False
    exact = binomtest(only_one, only_one + only_other).pvalue
    targets = np.arange(100) % 2
    assert p_of_gap(one, other, targets, "accuracy") == pytest.approx(exact, abs=0.015)
    assert p_of_gap(one, other, targets, "balanced") == pytest.approx(exact, abs=0.015)


def test_the_few_images_of_a_rare_class_count_as_much_as_the_many_of_another() -> None:
    targets = np.repeat([0, 1], (90, 10))
    one, other = np.ones((2, 100), bool)
    one[:8], other[90:98] = False, False
    assert p_of_gap(one, other, targets, "accuracy") == 1
    assert p_of_gap(one, other, targets, "balanced") < 0.02
