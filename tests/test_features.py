"""Frozen features: computed once, and a linear head on them, round by round."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from encoders import at, frozen
from PIL import Image
from safetensors.torch import save_file
from squares import CPU, config, label_batch, of_squares, train

from al_core.config import ModelConfig
from al_core.errors import ConfigError, WeightsError
from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import Holder, take_new_batch
from al_core.experiment.predictions import load_predictions
from al_core.experiment.start import start_experiment
from al_core.features.embed import embed, embed_into, frozen_features
from al_core.features.embedding_files import (
    file_named,
    files_in,
    read_keys,
    write_file,
)
from al_core.features.encoders.find import resnet18
from al_core.features.read import read_features
from al_core.images.dataset import Dataset, ImageSet, identities
from al_core.images.dataset_cache import load
from al_core.loop.advance import choose_batch, latest_predictions, refit
from al_core.models.network import build
from al_core.models.weights import read_weights, save_network
from al_core.progress import Progress, finish
from al_core.simulation.random_baseline import baseline_metrics, train_baseline
from al_core.store.records import Annotation
from al_core.store.store import Store


@pytest.fixture(autouse=True)
def small_batches(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_core.features.embed.batch_size", lambda _: 16)


def test_an_embedding_that_was_stopped_goes_on_where_it_was(
    weights: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, encoder = of_squares(), at(weights, 16)
    whole = finish(embed(dataset, encoder, CPU, home / "whole"))
    assert (whole.train.shape, whole.test.shape) == ((60, 128), (30, 128))  # narrow
    assert whole.train.dtype == np.float16

    work = embed(dataset, encoder, CPU, home / "stopped")
    while next(work).done < 40:
        pass
    work.close()
    with pytest.raises(ConfigError, match="42 images have none, for one 32"):
        read_features(home / "stopped", dataset)
    min(files_in(home / "stopped")).write_bytes(b"damaged")
    reports = []
    again = finish(embed(dataset, encoder, CPU, home / "stopped"), reports.append)
    assert reports[0].done == 48  # of the three blocks that were there two are whole
    assert np.array_equal(again.train, whole.train)
    assert np.array_equal(again.test, whole.test)

    monkeypatch.setattr("al_core.features.embed.embed_in_blocks", None)  # nothing is computed again
    assert np.array_equal(finish(embed(dataset, encoder, CPU, home / "stopped")).test, whole.test)


def test_pictures_are_embedded_at_the_size_of_the_encoder_and_not_of_the_array(
    weights: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "mine"
    for i, name in enumerate("abcdef"):
        (folder / "xy"[i % 2]).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (60 + 9 * i, 120, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "xy"[i % 2] / f"{name}.png")
    small, large = (
        finish(load(str(folder), image_size=size, cache_dir=home / "cache")) for size in (16, 96)
    )
    monkeypatch.setattr("al_core.features.embed.batch_size", lambda _: 4)  # more than one block
    from_array = finish(embed(large, at(weights, 96), CPU, home / "whole"))
    streamed = finish(embed(small, at(weights, 96), CPU, home / "streamed"))
    apart = np.linalg.norm(np.float32(streamed.train) - from_array.train)
    assert apart < 0.01 * np.linalg.norm(np.float32(from_array.train))  # both scaled, by others
    shrunk = finish(embed(small, at(weights, 16), CPU, home / "small"))
    assert not np.allclose(streamed.train, shrunk.train, atol=0.01)

    gone, kept = (
        folder / large.train.keys[0],
        finish(load(str(folder), image_size=16, cache_dir=home / "cache")),
    )
    gone.unlink()  # after it was listed: it is embedded by what the array holds of it
    assert np.isfinite(finish(embed(kept, at(weights, 96), CPU, home / "gone")).train).all()


def some_of(images: ImageSet, rows: list[int]) -> ImageSet:
    keys = [images.keys[row] for row in rows]
    return replace(images, images=images.images[rows], targets=images.targets[rows], keys=keys)


def test_images_that_come_to_a_source_are_embedded_alone_whatever_their_order(
    weights: Path, home: Path
) -> None:
    dataset, encoder = of_squares(), at(weights, 16)
    whole = finish(embed(dataset, encoder, CPU, home / "whole"))
    rows = [*range(0, 60, 2)]
    less = replace(dataset, train=some_of(dataset.train, rows), fingerprint="less")
    for start, embedded in ((less, 60), (dataset, 30), (less, 0), (dataset, 0)):
        reports: list[Progress] = []
        grown = finish(embed(start, encoder, CPU, home / "grown"), reports.append)
        assert len(reports) == -(-embedded // 16)
        assert np.array_equal(grown.train, whole.train[rows] if start is less else whole.train)
        assert np.array_equal(grown.test, whole.test)
        assert len(files_in(home / "grown")) == (2 if reports and start is less else 4)
    backwards = replace(dataset, train=some_of(dataset.train, [*range(60)][::-1]))
    assert np.array_equal(read_features(home / "grown", backwards).train, whole.train[::-1])


def test_features_in_a_folder_of_ones_own_are_read_and_are_not_mixed(
    weights: Path, home: Path
) -> None:
    dataset = of_squares()
    kept = finish(embed_into(home / "mine", frozen(weights), dataset))
    read = read_features(home / "mine", dataset)
    assert np.array_equal(kept.train, read.train)
    less = replace(dataset, train=some_of(dataset.train, [3, 1]), fingerprint="less")
    assert np.array_equal(finish(embed_into(home / "mine", frozen(weights), less)).test, read.test)
    assert sorted(key for file in files_in(home / "mine") for key in read_keys(file)) == sorted(
        [*less.train.keys, *less.test.keys]
    )
    other = replace(dataset.train, images=255 - dataset.train.images)
    others = replace(dataset, train=other, test=other)
    with pytest.raises(WeightsError, match="other images, weights"):
        finish(embed_into(home / "mine", frozen(weights), others))
    (home / "nobodys").mkdir()
    digests = identities(dataset.train)[:1].tolist()
    write_file(file_named(home / "nobodys", "0"), ["0"], digests, np.zeros((1, 3), np.float16))
    with pytest.raises(WeightsError, match="other images, weights"):
        finish(embed_into(home / "nobodys", frozen(weights), dataset))
    with pytest.raises(WeightsError, match="choose some"):
        finish(embed_into(home / "none", ModelConfig(), dataset))


def test_weights_are_read_by_the_names_of_torchvision_and_of_this_project(
    weights: Path, home: Path
) -> None:
    theirs = read_weights(weights)
    images = of_squares().train.images
    ours = build(3, "torchvision", CPU, images, torch.Generator(), theirs)
    save_network(ours, home / "ours.safetensors")
    again = read_weights(home / "ours.safetensors")
    assert all(torch.equal(again.backbone[name], t) for name, t in theirs.backbone.items())
    assert again.mean == pytest.approx(theirs.mean)
    assert again.stem == "torchvision"

    fewer = {name: t for name, t in theirs.backbone.items() if not name.startswith("layer4")}
    save_file(fewer, home / "fewer.safetensors")
    with pytest.raises(WeightsError, match=r"holds no ResNet-18: its layer4\.0\.conv1\.weight"):
        read_weights(home / "fewer.safetensors")
    (home / "bad.safetensors").write_text("nonsense")
    with pytest.raises(WeightsError, match=r"bad\.safetensors cannot be read"):
        read_weights(home / "bad.safetensors")


def test_weights_that_see_no_numbers_are_found_out_at_the_first_images(
    weights: Path, home: Path
) -> None:
    pretrained = read_weights(weights)
    pretrained.backbone["layer4.1.bn2.weight"].fill_(1e6)
    with pytest.raises(ConfigError, match=r"of 0 by these weights .* 65,504"):
        finish(embed(of_squares(), resnet18("mine", pretrained, 16), CPU, home / "large"))


def test_paths_are_those_of_the_folder_where_an_experiment_was_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(home)
    store = Store(f"sqlite:///{home / 'al.db'}")
    for model, weights, embeddings in (
        (ModelConfig("~/mine.PTH"), "/home/ada/mine.PTH", ""),
        (ModelConfig(" mine.bin", head="linear"), f"{home}/mine.bin", ""),
        (ModelConfig(head="linear", embeddings="~/e.npz"), "none", "/home/ada/e.npz"),
        (ModelConfig("imagenet"), "imagenet", ""),
    ):
        one = start_experiment(store, f"on {model.weights}", config(model=model), of_squares())
        kept = open_experiment(store, one).config.model
        assert (kept.weights, kept.embeddings) == (weights, embeddings)
    with pytest.raises(ConfigError, match=r"There are no weights “mine\.zip”"):
        ModelConfig("mine.zip")


def test_a_linear_head_needs_weights() -> None:
    with pytest.raises(ConfigError, match="A linear head"):
        ModelConfig(head="linear")
    with pytest.raises(ConfigError, match="no weights “alexnet”"):
        ModelConfig("alexnet")


@pytest.fixture
def experiment(weights: Path) -> int:
    model = ModelConfig(str(weights), head="linear")
    by_hand = config(initial=12, per_round=10, initial_labels="person", model=model)
    return start_experiment(Store(), "mine", by_hand, of_squares())


def labelled(experiment: int, dataset: Dataset) -> None:
    label_batch(Store(), dataset, experiment)
    train(Store(), dataset, experiment)


def test_rounds_of_a_linear_head_learn_and_keep_their_features_once(
    experiment: int, weights: Path
) -> None:
    dataset, store = of_squares(), Store()
    for _ in range(2):
        labelled(experiment, dataset)
    now = open_experiment(store, experiment)
    assert [record.labeled for record in now.rounds] == [12, 22]
    assert now.rounds[-1].metrics["accuracy"] > 0.9
    said = load_predictions(Store().folder(experiment), 1)
    features = finish(frozen_features(frozen(weights), dataset, CPU, 32))
    assert Path(said.embeddings.filename).samefile(features.train.filename)

    (home_of := Path(said.embeddings.filename).parent / "probs.npy").unlink()
    again = finish(latest_predictions(now, dataset, CPU))
    assert np.array_equal(again.probs, said.probs)
    assert home_of.exists()


def test_the_random_baseline_of_a_head_is_a_head(experiment: int, weights: Path) -> None:
    dataset, store = of_squares(), Store()
    for _ in range(2):
        labelled(experiment, dataset)
    now = open_experiment(store, experiment)
    finish(train_baseline(now, dataset, CPU))
    assert [baseline_metrics(now)[number]["accuracy"] > 0.9 for number in (0, 1)] == [True, True]


def test_the_batch_after_this_one_is_chosen_while_this_one_is_labelled(
    experiment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, store = of_squares(), Store()
    labelled(experiment, dataset)
    batch = open_experiment(store, experiment).open_batch
    store.append(experiment, [
        Annotation(image, int(dataset.train.targets[image]), batch.round, "ada")
        for image in batch.images[:6]
    ])  # fmt: skip
    finish(refit(store, experiment, dataset, CPU))
    before = len(open_experiment(store, experiment).batches)
    assert before == 2  # nothing of it is in the log

    def chosen(number: int):
        return finish(choose_batch(open_experiment(store, experiment), number, dataset, CPU))

    ready = chosen(2)
    assert not set(ready.images) & set(batch.images)
    assert ready.model == 1  # it has seen labels of the batch in hand
    with monkeypatch.context() as patch:
        patch.setattr("al_core.loop.next_batch.choose", None)  # it is there already
        assert chosen(2).images == ready.images
    store.change_config(experiment, {"strategy": "k_center"})
    assert chosen(2).strategy == "k_center"
    store.append(experiment, [Annotation(ready.images[0], 0, batch.round, "bob")])
    store.change_config(experiment, {"strategy": ready.strategy})
    assert ready.images[0] not in chosen(2).images  # somebody has labelled it meanwhile


def test_a_batch_chosen_in_advance_goes_to_whoever_asks_first(experiment: int) -> None:
    dataset, store = of_squares(), Store()
    labelled(experiment, dataset)
    finish(refit(store, experiment, dataset, CPU))

    def choose(now, number: int):
        return choose_batch(now, number, dataset, CPU)

    label_batch(store, dataset, experiment)
    taken = [
        finish(take_new_batch(store, experiment, Holder(tab, tab), choose))
        for tab in ("one", "other")
    ]
    assert not set(taken[0].images) & set(taken[1].images)
