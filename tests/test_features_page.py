"""A linear head in the page: rounds in a moment, and the next batch ready."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from desk import A_ROUND, BY_HAND, Desk, batch, hand_in, images, label_all
from playwright.sync_api import expect
from safetensors.torch import save_file
from torchvision.models import resnet18
from waiting import until

from al_core.config import ModelConfig
from al_core.experiment.ready_batch import load_ready
from al_core.store.records import Batch
from al_core.store.store import Store


def test_a_linear_head_is_fit_while_a_person_labels(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tensors = {name: t.contiguous() for name, t in resnet18(weights=None).state_dict().items()}
    save_file(tensors, tmp_path / "mine.safetensors")
    model = ModelConfig(str(tmp_path / "mine.safetensors"), head="linear")
    experiment = desk.start(replace(BY_HAND, model=model))
    page = desk.open(experiment)
    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible(timeout=A_ROUND)
    label_all(page, 6)
    monkeypatch.setenv("AL_HOME", str(desk.home))

    def chosen_by_all_labels() -> Batch | None:
        ready = load_ready(Store().folder(experiment), 2)
        return ready if ready and ready.model_position.annotations == 12 else None

    chosen = until(chosen_by_all_labels)
    hand_in(page)
    batch(page, "Round 2: Least confidence")
    assert [int(image) for image in images(page)] == list(chosen.images)
    page.get_by_role("tab", name="Training").click()
    expect(page.get_by_text("there are no epochs")).to_be_visible()
