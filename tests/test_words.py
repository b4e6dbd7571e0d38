"""Encoders that know words: class names classify before any label, and count beside the labels."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clip import CLIP, CONFIG, offer_clip
from encoders import at, frozen
from hub import Hub, hub, use
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from squares import CPU, config, label_batch, of_squares

from al_core.config import PROMPTS, ModelConfig
from al_core.errors import ConfigError, WeightsError
from al_core.experiment.class_acts import change_classes, merge, retire
from al_core.experiment.experiment import SO_FAR, Experiment, open_experiment
from al_core.experiment.leases import Holder, take_new_batch
from al_core.experiment.predictions import load_measured, load_predictions
from al_core.experiment.settings import change_settings
from al_core.experiment.source import images_of
from al_core.experiment.start import start_experiment
from al_core.features.encoders.catalogue import ENCODERS
from al_core.features.encoders.find import opened
from al_core.features.words import words_for
from al_core.loop.advance import advance, choose_batch
from al_core.loop.features import features_for
from al_core.loop.measured_anew import measured_anew
from al_core.loop.replay import replay
from al_core.models.linear_heads import mixture
from al_core.names import check_prompts, texts_for
from al_core.progress import finish
from al_core.seeds import generator
from al_core.store.records import Batch
from al_core.store.store import Store

open_clip = pytest.importorskip("open_clip")


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as started:
        use(started.address, str(home / "hub"), monkeypatch)
        offer_clip(started)
        yield started


@pytest.fixture
def theirs(served: Hub, tmp_path: Path) -> torch.nn.Module:
    """The same towers as open_clip itself has them."""
    path = tmp_path / "towers.safetensors"
    path.write_bytes(served.files["tests/tiny-clip/open_clip_model.safetensors"])
    towers = open_clip.model.CLIP(**CONFIG["model_cfg"])
    open_clip.load_checkpoint(towers, str(path))
    return towers.eval()


@torch.no_grad()
def test_towers_of_a_hub_see_and_read_what_open_clip_does(
    served: Hub, theirs: torch.nn.Module
) -> None:
    images = of_squares().train.images[:5]
    large = np.repeat(np.repeat(images, 4, 2), 4, 3)[..., :64, :64]
    encoder = at(CLIP, 64)
    ours = encoder.build(CPU).embed(torch.from_numpy(large))
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in CONFIG["preprocess_cfg"].values())
    right = theirs.encode_image((torch.from_numpy(large) / 255 - mean) / std)
    torch.testing.assert_close(ours.float(), right, rtol=1e-3, atol=1e-4)
    assert encoder.width == ours.shape[1] == 32

    texts = ["a photo of a cat.", "a photo of a dog.", "two"]
    tower = encoder.texts()
    tokens = open_clip.tokenizer.SimpleTokenizer()(texts)
    torch.testing.assert_close(tower.embed(texts), theirs.encode_text(tokens, normalize=True))
    assert tower.scale == pytest.approx(theirs.logit_scale.exp().item())


@torch.no_grad()
def test_a_tokenizer_of_another_repository_is_had_with_the_towers(
    served: Hub, tmp_path: Path
) -> None:
    """As SigLIP 2 has one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "a", "red", "bird"])}
    splits = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    splits.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=splits, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "tokenizer")
    name, said = "tests/siglip", json.loads(json.dumps(CONFIG))
    said["model_cfg"]["text_cfg"] |= {
        "hf_tokenizer_name": "tests/tokenizer", "tokenizer_kwargs": {"clean": "canonicalize"},
        "vocab_size": len(words), "context_length": 8, "no_causal_mask": True, "pool_type": "last",
    }  # fmt: skip
    said["model_cfg"] |= {"custom_text": True, "init_logit_bias": -10}
    towers = open_clip.model.CustomTextCLIP(
        **{key: value for key, value in said["model_cfg"].items() if key != "custom_text"}
    ).eval()
    served.offer(name, json.dumps(said).encode(), "open_clip_config.json")
    served.offer(name, save(dict(towers.state_dict())), "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="tests/tokenizer"):
        at(f"open_clip/{name}", 64)
    for file in (tmp_path / "tokenizer").iterdir():
        served.offer("tests/tokenizer", file.read_bytes(), file.name)
    tower = at(f"open_clip/{name}", 64).texts()
    split = open_clip.tokenizer.HFTokenizer(
        str(tmp_path / "tokenizer"), context_length=8, clean="canonicalize"
    )
    texts = ["A red bird!", "a bird"]
    right = towers.encode_text(split(texts), normalize=True)
    torch.testing.assert_close(tower.embed(texts), right)
    assert not torch.allclose(right[0], right[1])


def test_class_names_are_told_by_every_prompt_and_those_that_went_by_none(
    served: Hub, theirs: torch.nn.Module
) -> None:
    encoder, prompts = at(CLIP, 64), "a photo of a {}.\na {}\ncrane: a tall bird\n"
    called = [("traffic_light",), ("bird", "crane"), ("gone",)]
    words = words_for(encoder, called, [1, 0], prompts)
    split = open_clip.tokenizer.SimpleTokenizer()
    both = ["a photo of a traffic light.", "a traffic light"]
    with torch.no_grad():
        light, bird = (
            F.normalize(theirs.encode_text(split(texts), normalize=True).mean(0), dim=0)
            for texts in (both, ["a tall bird"])
        )
    images = torch.randn(7, 32, generator=generator(0, "images"))
    logits = words.logits(images)
    cosines = F.normalize(images, dim=1) @ torch.stack([light, bird]).T
    torch.testing.assert_close(logits[:, :2], words.scale * cosines)
    assert (logits[:, 2] == -words.scale).all()  # nobody can answer that any more


@pytest.mark.parametrize(
    ("prompts", "said"),
    [("a photo", "“a photo” is for no class"), ("cow: one", "“cow: one” is for no class")],
)
def test_a_prompt_for_no_class_is_refused(prompts: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_prompts([("cat",), ("dog",)], prompts)
    check_prompts([("cat",), ("dog",)], prompts, before=prompts)  # it was of a class that went


def test_a_line_for_one_class_is_for_that_alone_whatever_it_was_called_and_is_called_now() -> None:
    prompts = "a {}\ncrane: a {}, a bird\na: b: tall"
    called = [("crane",), ("dog",), ("a",), ("a: b",)]
    assert texts_for(called, prompts) == [["a crane, a bird"], ["a dog"], ["a a"], ["tall"]]
    renamed = [("heron", "crane"), ("dog",)]
    assert texts_for(renamed, prompts)[0] == ["a heron, a bird"]
    taken = [("heron", "crane"), ("crane",)]
    assert texts_for(taken, prompts) == [["a heron"], ["a crane, a bird"]]


@given(st.lists(st.text(min_size=1), min_size=1), st.text())
def test_each_class_has_a_text_whatever_the_prompts(names: list[str], prompts: str) -> None:
    texts = texts_for([(name,) for name in names], prompts)
    assert len(texts) == len(names)
    assert all(texts)


def test_words_and_a_head_count_for_as_much_as_each_is_worth() -> None:
    chance = generator(0, "logits")
    labels = torch.randint(4, (200,), generator=chance)
    tells = 3 * F.one_hot(labels, 4) + torch.randn(200, 4, generator=chance)
    noise = torch.randn(200, 4, generator=chance)
    for head, words, is_head in ((tells, noise, True), (noise, tells, False)):
        of_head, of_words = mixture(head, words, labels)
        better, worse = (of_head, of_words) if is_head else (of_words, of_head)
        assert better > 0.5
        assert 0 <= worse < 0.2
    assert mixture(noise[:0], noise[:0], labels[:0]) == (1, 1)  # nothing says otherwise


def test_what_is_offered_is_known_to_open_clip_by_name_width_and_size() -> None:
    offered = [one for one in ENCODERS.values() if one.name.startswith("open_clip/")]
    assert len(offered) == 3
    for one in offered:
        model, tag = one.name.split("/")[1:]
        with torch.device("meta"):
            towers = open_clip.create_model(model, load_weights=False, device="meta")
        weights = sum(parameter.numel() for parameter in towers.parameters()) * 4e-6
        assert weights - 5 <= one.megabytes <= weights + 5, (one, weights)
        config = open_clip.get_model_config(model)
        assert (config["embed_dim"], config["vision_cfg"]["image_size"]) == (one.width, one.size)
        assert open_clip.get_pretrained_cfg(model, tag)["hf_hub"]


class Desk:
    """An experiment on squares, labelled by the truth, with words."""

    def __init__(self) -> None:
        model = frozen(CLIP)
        settings = config(
            model=model, initial_labels="person", start="maxherding", image_size=16,
            strategy="margin",
        )  # fmt: skip
        self.dataset = of_squares()
        finish(opened(model, self.dataset.learned_for))
        self.number = start_experiment(Store(), "mine", settings, self.dataset)

    @property
    def now(self) -> Experiment:
        return open_experiment(Store(), self.number)

    def batch(self, who: str = "ada") -> Batch:
        def choose(now: Experiment, number: int):
            return choose_batch(replace(now, embedded=SO_FAR), number, self.dataset, CPU)

        return finish(take_new_batch(Store(), self.number, Holder(f"tab of {who}", who), choose))

    def round(self) -> None:
        label_batch(Store(), self.dataset, self.number)
        finish(advance(Store(), self.number, self.dataset, CPU))


def test_words_sort_the_first_batch_and_are_measured_beside_each_round(served: Hub) -> None:
    desk = Desk()
    batch = desk.batch()
    assert batch.model is None  # no label was learned
    best = [top[0] for top in batch.reasons.top]
    guesses = [guess for guess, _ in best]
    assert guesses == sorted(guesses)
    for one in set(guesses):
        of_one = [p for guess, p in best if guess == one]
        assert of_one == sorted(of_one, reverse=True)

    desk.round()
    now = desk.now
    _, features = finish(features_for(now, desk.dataset, CPU))
    words = words_for(at(CLIP, 16), now.classes.called, now.classes.shown, PROMPTS)
    right = words.logits(torch.from_numpy(features.test)).argmax(1).numpy()
    share = (right == desk.dataset.test.targets).mean()
    metrics = now.rounds[0].metrics
    assert metrics["words"]["accuracy"] == pytest.approx(share)
    assert len(metrics["mixed"]) == 2
    # What the model says is the mixture: neither the head's nor the words' alone.
    said = load_predictions(now.folder, 0).probs
    alone = words.logits(torch.from_numpy(features.train)).softmax(1).numpy()
    assert not np.allclose(said, alone, atol=0.01)
    kept = load_measured(now.folder, 0)
    assert kept.words.shape == kept.probs.shape


def test_prompts_may_change_and_each_batch_is_chosen_again_by_its_own(served: Hub) -> None:
    desk = Desk()
    desk.batch()
    desk.round()
    model = replace(desk.now.config.model, prompts="a drawing of a {}.")
    change_settings(Store(), desk.now, replace(desk.now.config, model=model))
    wrong = replace(desk.now.config, model=replace(model, prompts="nothing"))
    with pytest.raises(ConfigError, match="for no class"):
        change_settings(Store(), desk.now, wrong)
    desk.batch()
    desk.round()
    assert [one.log_position.settings["model"]["prompts"] for one in desk.now.rounds] == [
        PROMPTS, "a drawing of a {}.",
    ]  # fmt: skip
    for one in finish(replay(Store(), desk.number, desk.dataset, CPU)):
        assert one.is_exact
    # Classes that change are measured anew, by words as well.
    names = desk.now.classes.names
    change_classes(Store(), desk.number, "ada", merge(names[:1], names[1]))
    now = desk.now
    metrics = measured_anew(now, images_of(now, desk.dataset)).rounds[0].metrics
    assert metrics["words"]["accuracy"] >= desk.now.rounds[0].metrics["words"]["accuracy"]


def test_batches_before_the_first_round_are_chosen_again_by_the_settings_of_their_time(
    served: Hub, weights: Path
) -> None:
    desk = Desk()
    desk.batch("ada")
    change_settings(Store(), desk.now, replace(desk.now.config, model=frozen(weights)))
    desk.batch("bob")
    change_settings(Store(), desk.now, replace(desk.now.config, model=frozen(CLIP)))
    change_classes(Store(), desk.number, "ada", retire(desk.now.classes.names[0]))
    desk.batch("eve")
    replayed = finish(replay(Store(), desk.number, desk.dataset, CPU))
    assert len(replayed) == 3
    assert all(one.is_exact for one in replayed)


def test_what_is_missing_is_said_in_a_sentence(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(weights: str) -> str:
        with pytest.raises(WeightsError) as error:
            finish(opened(ModelConfig(weights, head="linear"), ""))
        return str(error.value)

    assert "There is no nobody/nothing" in refused("open_clip/nobody/nothing")
    assert "it has: laion2b" in refused("open_clip/roberta-ViT-B-32/wrong")
    served.offer("tests/other", b"{}", "open_clip_config.json")
    served.offer("tests/other", b"", "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="does not say what the towers"):
        at("open_clip/tests/other", 64)
    served.offer("tests/tiny-clip", b"damaged", "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="holds no"):
        at(CLIP, 64).build(CPU)
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    assert "requirements-text.txt" in refused(CLIP)
