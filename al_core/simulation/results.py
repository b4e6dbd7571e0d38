"""What simulations gave, kept on disk round by round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_core.analysis.curves import Curve, MeasuredOn
from al_core.config import ExperimentConfig
from al_core.files.atomic import whole_file
from al_core.files.paths import home
from al_core.strategies.registry import titled

if TYPE_CHECKING:
    from al_core.simulation.simulate import Step

# The settings of an experiment that a simulated round is made from.
DEPENDS_ON = (
    "strategy", "initial", "start", "per_round", "model", "train", "seed", "image_size",
    "class_names",
)  # fmt: skip
DAMAGE = (OSError, LookupError, TypeError, ValueError, AttributeError)  # what a file of it raises
FORMAT = 5  # raised whenever a round or a strategy changes: older files are run anew


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated experiment: its settings, who answers (see
    :func:`al_core.simulation.annotators.find_annotator`), and the file of embeddings that a linear
    head is trained on, empty where a network is."""

    config: ExperimentConfig
    annotator: str = "truth"
    embeddings: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What a reader of the table wants to know beside strategy and seed."""
        config = self.config
        return {
            "data": config.data,
            "annotator": self.annotator,
            "head": "linear" if self.embeddings else config.model.head,
            "embeddings": self.embeddings,
            "start": config.start,
            "initial": config.initial,
            "per_round": config.per_round,
            "weights": config.model.weights,
            "stem": config.model.stem,
            "epochs": config.train.epochs,
            "min_steps": config.train.min_steps,
        }


def saved_curves() -> list[Curve]:
    """The curves of all simulations that are kept, one for each strategy and seed.

    Runs share a name where they differ in their seed alone.
    """
    curves = []
    taken: dict[str, str] = {}
    for path in sorted((home() / "simulations").glob("*.json")):
        with suppress(*DAMAGE):
            kept = json.loads(path.read_text(encoding="utf-8"))
            measured = [row for row in _rows(kept) if row["test_accuracy"] is not None]
            if kept["format"] == FORMAT and measured:
                name = first = _name(measured[0]["strategy"], kept["settings"])
                on = MeasuredOn("test", Path(kept["settings"]["data"]).name, kept.get("images", ""))
                number = 1
                while taken.setdefault(name, kept["runs_of"]) != kept["runs_of"]:
                    number += 1  # the same words for other files, or for other images
                    name = f"{first} [{number}]"
                curves.append(
                    Curve(
                        name=name,
                        seed=measured[0]["seed"],
                        labeled=tuple(row["labeled"] for row in measured),
                        accuracy=tuple(row["test_accuracy"] for row in measured),
                        on=on,
                    )
                )
    return curves


def _name(strategy: str, settings: dict[str, Any]) -> str:
    """What a person tells one group of curves from another by."""
    words = [titled(strategy), Path(settings["data"]).name]
    if settings["annotator"] != "truth":
        words.append(settings["annotator"].rpartition(":")[2])
    if settings["embeddings"]:
        words.append(f"linear on {Path(settings['embeddings']).stem}")
    if settings["weights"] != "none":
        words.append(settings["weights"])
    if settings["start"] != "random":
        words.append(f"started by {titled(settings['start'])}")
    if settings["stem"] != "auto":
        words.append(f"{settings['stem']} stem")
    if not settings["embeddings"]:
        words.append(f"{settings['epochs']:,} epochs, at least {settings['min_steps']:,} steps")
    return f"{', '.join(words)} ({settings['initial']:,} + {settings['per_round']:,} a round)"


def all_that_matters(simulation: Simulation, images: str, embeddings: str) -> dict[str, Any]:
    """All that the rounds of a simulation depend on, with the digests of its files; how many rounds
    there are is not among it, nor what the page alone reads."""
    values = simulation.config.to_json()
    del values["model"]["learn_minutes"]  # what was learned is among the files
    annotator = simulation.annotator
    file, colon, _ = annotator.rpartition(":")
    if colon:
        with suppress(OSError):
            annotator += blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    more = {"annotator": annotator, "images": images, "embeddings": embeddings, "format": FORMAT}
    return {name: values[name] for name in DEPENDS_ON} | more


def digest_of(values: dict[str, Any]) -> str:
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=12).hexdigest()


def read_steps(path: Path) -> list[Step]:
    from al_core.simulation.simulate import Row, Step

    with suppress(*DAMAGE):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] == FORMAT and _rows(kept):
            return [Step(**{**step, "row": Row(**step["row"])}) for step in kept["steps"]]
    return []


def _rows(kept: Any) -> list[dict[str, Any]]:
    """The rows in a file; raises one of DAMAGE where what is reckoned with is no number."""
    for step in kept["steps"]:
        row = step["row"]
        counts = [row["seed"], row["labeled"], *step["asked"], *step["guesses"]]
        shares = [row["test_accuracy"]] if row["test_accuracy"] is not None else []
        whole = all(type(count) is int and 0 <= count < 2**63 for count in counts)
        if not whole or not all(0 <= share <= 1 for share in shares) or not step["temperature"] > 0:
            raise ValueError("damaged")
    return [step["row"] for step in kept["steps"]]


def write_steps(
    path: Path, simulation: Simulation, depends_on: dict[str, Any], steps: Sequence[Step]
) -> None:
    kept = {
        "format": FORMAT,
        "settings": simulation.settings,
        "images": depends_on["images"],
        "runs_of": digest_of({**depends_on, "strategy": "", "seed": ""}),
        "steps": [asdict(step) for step in steps],
    }
    with whole_file(path) as file:
        file.write(json.dumps(kept).encode())
