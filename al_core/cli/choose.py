"""``python -m al_core choose``: a batch from a pool too large for one machine's memory."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import click

from al_core.analysis.curves import IN_TABLES
from al_core.cli import options
from al_core.cli.options import FILE_TO_READ, FILE_TO_WRITE, FOLDER, check_outputs, option, required
from al_core.cli.terminal import run_shown, say
from al_core.errors import ConfigError
from al_core.exchange.labels import key_and_class
from al_core.files.atomic import is_stream, whole_text
from al_core.files.csv_cells import as_meant, write_row
from al_core.files.paths import located
from al_core.models.metrics import MEANS_OVER_CLASSES, estimate
from al_core.names import counted
from al_core.strategies.registry import STRATEGIES, TOO_FEW

if TYPE_CHECKING:
    from al_core.distributed.embedding_pool import Map
    from al_core.distributed.streamed_round import Chosen


@click.command()
@required("--features", type=FOLDER, help="The folder that embed has written.")
@option("--labels", type=FILE_TO_READ, help="A CSV with the columns key and class_name, as export "
        "writes it; an empty class is a skip  [default: no labels yet]")  # fmt: skip
@option("--test", type=FILE_TO_READ,
        help="The same of images that measure the head, and are not asked about.")  # fmt: skip
@option("--strategy", type=click.Choice([*STRATEGIES]), default="margin")
@option("--per-round", type=click.IntRange(1), default=100, help="Images to ask about.")
@option("--round", "number", type=click.IntRange(0), default=0,
        help="The number of this round: chance differs from one to the next.")  # fmt: skip
@option("--seed", type=click.IntRange(0), default=0)
@option("--sample", type=click.IntRange(1), default=50_000, help="Images that strategies which "
        "compare all with all look at, drawn evenly.")  # fmt: skip
@option("--data", help="Where the images lie, as for embed: the batch is written as parquet too, "
        "which the desk opens.")  # fmt: skip
@options.engine("the files are read by all cores of a cluster.")
@required("--out", type=FILE_TO_WRITE, help="The CSV to write, best first; how it was chosen is "
          "written beside it, as JSON, unless it is a pipe.")  # fmt: skip
def choose(
    features: Path,
    labels: Path | None,
    test: Path | None,
    strategy: str,
    per_round: int,
    number: int,
    seed: int,
    sample: int,
    data: str | None,
    engine: str,
    address: str | None,
    out: Path,
) -> None:
    """Fit a linear head to labels, and choose what to ask next, file by file.

    The pool may be larger than memory: its embeddings stay in their files, of which a few are read
    at a time, here or on a Ray cluster.
    """
    beside, pictures = out.with_suffix(".json"), out.with_suffix(".parquet")
    alone = is_stream(out)  # there is no place beside it
    if alone and data is not None:
        raise ConfigError(f"{out} is no file, and images go beside it: leave --data out.")
    outputs = [out] if alone else [out, beside] if data is None else [out, beside, pictures]
    source = located(data) if data is not None and "://" not in data else None
    check_outputs(outputs, (labels, test, source))
    named = _classes_by_key(labels) if labels else {}
    measuring = _classes_by_key(test) if test else {}
    classes = sorted({name for name in (*named.values(), *measuring.values()) if name})
    number_of = {name: i for i, name in enumerate(classes)}
    learned = {name for key, name in named.items() if name and key not in measuring}
    if not learned and any(named.values()):
        raise ConfigError(f"All labels of {labels} are of images in {test}: none is left to learn.")
    if len(learned) < 2 and not STRATEGIES[strategy].starts:
        raise ConfigError(TOO_FEW.format(strategy))
    from al_core.distributed.image_shards import write_pictures
    from al_core.distributed.streamed_round import streamed_round  # with torch: slow
    from al_core.loop.query import Choice

    cluster: AbstractContextManager[Map] = nullcontext(map)
    if engine == "ray":
        from al_core.distributed.ray_cluster import tasks

        cluster = tasks(address)
    with cluster as run:
        choosing = streamed_round(
            features.absolute(),  # workers run in another folder
            {key: number_of.get(name) for key, name in named.items()},
            {key: number_of.get(name) for key, name in measuring.items()},
            Choice(strategy, per_round, number, seed, sample),
            run,
        )
        chosen = run_shown(choosing, "Stopped; nothing was written.")
    with whole_text(out) as file:
        write_row(file, ["key", "score"])
        for row in zip(chosen.keys, chosen.scores or repeat(""), strict=False):
            write_row(file, row)
    record = {"strategy": strategy, "round": number, "seed": seed, "classes": classes}
    how = {key: value for key, value in asdict(chosen).items() if key not in ("keys", "scores")}
    if chosen.metrics:
        how["metrics"] |= {
            IN_TABLES[one]: asdict(estimate(chosen.metrics, one)) for one in MEANS_OVER_CLASSES
        }
    if not alone:
        with whole_text(beside) as file:
            file.write(json.dumps(record | how, indent=1) + "\n")
    if data is not None:
        copying = write_pictures(data, chosen.keys, pictures)
        run_shown(copying, f"Stopped; {out} is written, {pictures} is not.")
    say(f"{_summary(chosen)}, written to {out}.", out)


def _summary(chosen: Chosen) -> str:
    right = ""
    if chosen.metrics:
        balanced, f1 = (estimate(chosen.metrics, one).value for one in MEANS_OVER_CLASSES)
        right = (
            f"{chosen.metrics['accuracy']:.1%} of the test right, balanced accuracy "
            f"{balanced:.1%}, macro F1 {f1:.1%}; "
        )
    among = counted(chosen.unlabeled, "image")
    if chosen.sample is not None and chosen.sample < chosen.unlabeled:
        among = f"a sample of {chosen.sample:,} of {among}"
    return f"{right}{len(chosen.keys):,} chosen among {among}"


def _classes_by_key(path: Path) -> dict[str, str]:
    """The class of each image in a CSV, "" where it was skipped."""
    classes: dict[str, str] = {}
    try:
        for row, cell, given in key_and_class(path.read_bytes()):
            key, name = as_meant(cell), as_meant(given.strip()).strip()
            if classes.setdefault(key, name) != name:
                raise ConfigError(f"Row {row}: {key} stands above with another class.")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return classes
