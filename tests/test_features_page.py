"""A linear head in the page: rounds in a moment, and the next batch ready."""

import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from desk import BY_HAND, Desk, hand_in, images, label_all
from playwright.sync_api import expect
from safetensors.torch import save_file
from torchvision.models import resnet18

from al_core.config import ModelConfig


def chosen_in_advance(path: Path, number: int) -> list[int]:
    """The images that wait for round ``number``, once the head is not fit any more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and time.time() - path.stat().st_mtime > 3:
            kept = json.loads(path.read_text().partition("\n")[2])  # behind its digest
            if kept["round"] == number:
                return kept["images"]
        time.sleep(0.1)
    raise AssertionError("no batch was chosen in advance")


def test_a_linear_head_is_fit_while_a_person_labels(desk: Desk, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {name: t.contiguous() for name, t in resnet18(weights=None).state_dict().items()}
    save_file(tensors, tmp_path / "mine.safetensors")
    model = ModelConfig(str(tmp_path / "mine.safetensors"), head="linear")
    experiment = desk.start(replace(BY_HAND, model=model))
    page = desk.open(experiment)
    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible(timeout=60_000)
    label_all(page, 6)
    chosen = chosen_in_advance(desk.home / "weights" / str(experiment) / "ready.json", 2)
    hand_in(page)
    expect(page.get_by_role("heading", name="Round 2")).to_be_visible(timeout=60_000)
    assert [int(image) for image in images(page)] == chosen
    page.get_by_role("tab", name="Training").click()
    expect(page.get_by_text("there are no epochs")).to_be_visible()
