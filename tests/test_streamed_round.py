"""A round over files of embeddings chooses what a round in memory chooses, to the tie."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import write_rows

from al_core.__main__ import main
from al_core.config import ExperimentConfig
from al_core.distributed import embedding_pool
from al_core.distributed.streamed_round import Chosen, streamed_round
from al_core.errors import ConfigError
from al_core.experiment.pool import Pool
from al_core.features.read import Features
from al_core.images.dataset import Dataset, ImageSet
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.models.hardware import find_hardware
from al_core.models.linear_heads import Heads
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.strategies.registry import STRATEGIES

SIZE, TESTS, CLASSES = 600, 50, tuple("abcdefg")
CHANCE = np.random.default_rng(0)
# Each image is there three times or so: copies score alike, and chance alone tells them apart.
COPY = CHANCE.integers((SIZE + TESTS) // 3, size=SIZE + TESTS)
TRUTH = COPY % len(CLASSES)
WIDTH = 128
ROWS = CHANCE.normal(size=(SIZE + TESTS, WIDTH))[COPY]
ROWS = (ROWS + 0.3 * CHANCE.normal(size=(len(CLASSES), WIDTH))[TRUTH]).astype(np.float16)
# As wide as a network's are.
WIDE = CHANCE.normal(size=(SIZE, 512)).astype(np.float16)
KEYS = [f"{i:04d}.png" for i in range(SIZE + TESTS)]
TEST = dict(zip(KEYS[SIZE:], TRUTH[SIZE:].tolist(), strict=True))


def in_files(folder: Path, *ends: int) -> Path:
    """All embeddings, in files that end at these rows; one file may be empty."""
    bounds = [0, *sorted(ends), len(ROWS)]
    for number, (start, end) in enumerate(pairwise(bounds)):
        write_rows(folder, number, KEYS[start:end], ROWS[start:end])
    return folder


def of(some: slice) -> ImageSet:
    rows = len(KEYS[some])
    return ImageSet(np.zeros((rows, 3, 1, 1), np.uint8), TRUTH[some], CLASSES, KEYS[some])


DATA = Dataset("", of(slice(SIZE)), of(slice(SIZE, None)), "", ())


def in_memory(choice: Choice, labels: dict[str, int | None]) -> tuple[list[str], dict, float]:
    """The batch, what the head is worth and its temperature, by the functions of the desk."""
    rows = [Annotation(KEYS.index(key), label, 0, "me", key=key) for key, label in labels.items()]
    pool = Pool.fold(SIZE, rows)
    config = ExperimentConfig(
        data="digits", class_names=CLASSES, strategy=choice.strategy, seed=choice.seed
    )
    features, hardware = Features(ROWS[:SIZE], ROWS[SIZE:], ""), find_hardware()
    task = RoundTask(config, choice.number, pool, DATA, features)
    outcome = finish(run_round(task, hardware))
    of_pool = outcome.predictions
    picks, _ = choose(choice, of_pool, pool, pool.unlabeled, hardware.device)
    return [KEYS[i] for i in picks], outcome.record.metrics, outcome.record.temperature


def from_files(folder: Path, choice: Choice, labels: dict, run: Callable = map) -> Chosen:
    return finish(streamed_round(folder, labels, TEST, choice, run))


def labels_of(images: Iterable[int]) -> dict[str, int | None]:
    return {KEYS[i]: int(TRUTH[i]) for i in images}


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=4)
@given(
    labelled=st.sets(st.integers(0, SIZE - 1), min_size=25, max_size=60),
    skipped=st.sets(st.integers(0, SIZE - 1), max_size=5),
    ends=st.lists(st.integers(0, SIZE + TESTS), max_size=6),
    at_once=st.integers(1, 4),
    n=st.integers(1, 40),
    number=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_the_choice_is_that_of_a_round_in_memory_to_the_tie(
    strategy: str,
    labelled: set[int],
    skipped: set[int],
    ends: list[int],
    at_once: int,
    n: int,
    number: int,
    seed: int,
) -> None:
    labels = labels_of(sorted(labelled)) | {KEYS[i]: None for i in skipped}
    choice = Choice(strategy, n, number, seed)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding_pool, "FILES_A_TASK", at_once)
        chosen = from_files(in_files(Path(folder), *ends), choice, labels)
    keys, metrics, temperature = in_memory(choice, labels)
    assert chosen.keys == keys
    assert chosen.metrics == {name: metrics[name] for name in metrics if name != "on"}
    assert chosen.temperature == temperature
    assert chosen.unlabeled == SIZE - len(labels)
    assert (chosen.sample is None) == (STRATEGIES[strategy].ranks or strategy == "random")
    assert (chosen.scores is not None) == STRATEGIES[strategy].ranks


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["typiclust", "badge"])
def test_a_sample_is_stated_even_and_the_same_whoever_does_the_work(
    strategy: str, tmp_path: Path
) -> None:
    """Each image is drawn about equally often; one that has a label never."""

    def from_the_end(work: Callable, items: Iterable) -> Iterator:
        answers = [(i, work(item)) for i, item in reversed(list(enumerate(items)))]
        return iter([answer for _, answer in sorted(answers, key=lambda a: a[0])])

    folder = in_files(tmp_path, 100, 101, 350)
    labels = labels_of(range(0, 200, 5))
    drawn = np.zeros(len(KEYS))
    for seed in range(15):
        choice = Choice(strategy, 50, seed=seed, sample=50)  # so the batch is the sample
        chosen = from_files(folder, choice, labels)
        assert (chosen.sample, chosen.unlabeled) == (50, SIZE - len(labels))
        drawn[[KEYS.index(key) for key in chosen.keys]] += 1
        if seed < 3:
            assert from_files(folder, choice, labels, from_the_end).keys == chosen.keys
    is_open = np.array([key not in {*labels, *TEST} for key in KEYS])
    assert drawn.sum() == 15 * 50
    assert not drawn[~is_open].any()
    tenths = drawn[is_open].reshape(10, -1).sum(1)
    assert np.all(np.abs(tenths - 75) < 4 * np.sqrt(75))


def test_the_first_batch_needs_no_labels_and_a_head_needs_two_classes(tmp_path: Path) -> None:
    folder = in_files(tmp_path, 300)
    chosen = finish(streamed_round(folder, {}, {}, Choice("typiclust", 7)))
    assert len(set(chosen.keys)) == 7
    assert (chosen.labeled, chosen.penalty, chosen.temperature) == (0, None, None)
    for strategy in STRATEGIES:
        if STRATEGIES[strategy].starts:
            finish(streamed_round(folder, {}, {}, Choice(strategy, 3)))
    assert len(finish(streamed_round(folder, {}, {}, Choice("random", 7000))).keys) == len(KEYS)
    one_class = dict.fromkeys(KEYS[:9], 0)
    with pytest.raises(ConfigError, match="labels of two classes"):
        finish(streamed_round(folder, one_class, {}, Choice("margin", 7)))


def test_what_is_wrong_with_files_and_labels_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder, choice = tmp_path / "files", Choice("margin", 5)
    folder.mkdir()
    with pytest.raises(ConfigError, match="holds no embedding files"):
        from_files(folder, choice, {})
    in_files(folder, 300)
    with pytest.raises(ConfigError, match=r"2 labelled images have no embedding.*for one x\.png"):
        from_files(folder, choice, {"x.png": 0, "y.png": 1})
    with pytest.raises(ConfigError, match="none is left"):
        from_files(folder, choice, labels_of(range(SIZE)))
    third = write_rows(folder, 2, KEYS[:1], ROWS[:1])
    with pytest.raises(ConfigError, match="there twice"):
        from_files(folder, choice, labels_of(range(40)))
    third.write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=r"embeddings-2\.parquet cannot be read"):
        from_files(folder, choice, labels_of(range(40)))
    write_rows(folder, 2, ["nan.png"], ROWS[:1])
    third.with_suffix(".npy").write_bytes(b"no array")
    with pytest.raises(ConfigError, match=r"embeddings-2\.parquet cannot be read"):
        from_files(folder, choice, labels_of(range(40)))
    write_rows(folder, 2, ["a.png", "nan.png"], ROWS[:2])
    np.save(third.with_suffix(".npy"), np.stack([ROWS[0], np.full(WIDTH, np.nan, np.float16)]))
    for strategy in ("margin", "k_center"):
        named = r"nan\.png in .*embeddings-2\.parquet are not numbers"
        with pytest.raises(ConfigError, match=named):
            from_files(folder, Choice(strategy, 5), labels_of(range(40)))


def test_the_command_reads_tables_of_labels_and_writes_a_batch_and_its_record(
    tmp_path: Path,
) -> None:
    folder = in_files(tmp_path, 200, 400)
    labels = labels_of(range(40))
    for name, known in (("labels", labels), ("test", TEST)):
        rows = [f"{key},{CLASSES[number]}" for key, number in known.items()]
        (tmp_path / f"{name}.csv").write_text("\n".join(["key,class_name", *rows]))
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(f"\n{KEYS[41]},\n")  # skipped

    def run(*arguments: str) -> str:
        command = ["choose", "--features", str(folder), "--out", str(tmp_path / "batch.csv")]
        result = CliRunner().invoke(main, [*command, *arguments])
        return result.output.splitlines()[-1]

    files = ["--labels", str(tmp_path / "labels.csv"), "--test", str(tmp_path / "test.csv")]
    said = run(*files, "--strategy", "entropy", "--per-round", "9", "--round", "2", "--seed", "4")
    assert "9 chosen among 559 images" in said
    with (tmp_path / "batch.csv").open(newline="") as file:
        batch = list(csv.DictReader(file))
    keys, metrics, _ = in_memory(Choice("entropy", 9, 2, 4), labels | {KEYS[41]: None})
    assert [row["key"] for row in batch] == keys
    scores = [float(row["score"]) for row in batch]
    assert scores == sorted(scores, reverse=True)
    record = json.loads((tmp_path / "batch.json").read_text())
    assert record["metrics"]["accuracy"] == metrics["accuracy"]
    assert (record["strategy"], record["labeled"], record["sample"]) == ("entropy", 40, None)
    assert "a sample of 20 of 559 images" in run(
        *files, "--strategy", "typiclust", "--per-round", "9", "--sample", "20"
    )
    (tmp_path / "test.csv").write_text(f"key,class_name\n{KEYS[50]},\n")  # measures nothing
    said = run("--labels", files[1], "--test", files[3], "--per-round", "609")
    assert "608 chosen among 608 images" in said
    with (tmp_path / "batch.csv").open(newline="") as file:
        assert KEYS[50] not in {row["key"] for row in csv.DictReader(file)}
    for words, sentence in (
        (("--out", str(tmp_path / "labels.csv")), "is read, and would be written over"),
        (("--out", str(tmp_path / "nowhere" / "x.csv")), "cannot be written"),
        (("--out", str(tmp_path / "x.json")), "would be written twice"),
    ):
        assert sentence in run(*files, *words)
    assert "needs labels of two classes" in run("--strategy", "margin")
    (tmp_path / "labels.csv").write_text("key,class_name\n0000.png,ant\n0000.png,bee\n")
    assert "labels.csv: Row 3: 0000.png stands above with another class" in run(*files)


@settings(max_examples=60)
@given(start=st.integers(0, 599), rows=st.integers(1, 600), classes=st.integers(2, 120))
def test_what_a_head_says_of_an_image_does_not_depend_on_the_others(
    start: int, rows: int, classes: int
) -> None:
    chance = torch.Generator().manual_seed(classes)
    weight, bias = torch.randn(1, 512, classes, generator=chance), torch.zeros(1, 1, classes)
    head = Heads(weight, bias, torch.zeros(512), torch.ones(512))
    some = slice(start, start + rows)
    embeddings = torch.from_numpy(WIDE)
    assert torch.equal(head.logits(embeddings[some]), head.logits(embeddings)[:, some])
