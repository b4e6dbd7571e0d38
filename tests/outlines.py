"""What a folder lists before its files are read, and an experiment once they are."""

from pathlib import Path

from tiny import loaded

from al_core.experiment.experiment import open_experiment
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.images.dataset import Dataset
from al_core.images.outline import outline
from al_core.images.survey import survey
from al_core.progress import finish
from al_core.store.store import Store


def listed(folder: Path) -> Dataset | None:
    content = finish(survey(str(folder), cache_dir=folder.parent)).content
    return outline(str(folder), content, 8)


def read(store: Store, number: int, folder: Path) -> Dataset:
    bring_up_to_date(store, number, loaded(folder, folder.parent / "cache"))
    return images_of(open_experiment(store, number), loaded(folder, folder.parent / "cache"))
