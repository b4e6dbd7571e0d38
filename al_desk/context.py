"""What one run of the page works with."""

from __future__ import annotations

from dataclasses import dataclass

from al_core.experiment.experiment import Experiment, open_experiment
from al_core.images.dataset import Dataset
from al_core.store.store import Store


@dataclass(frozen=True, slots=True)
class DeskContext:
    """An experiment as its log was when the page was drawn, its images, and the annotator.

    ``show_truth``: the classes that came with the images are shown while labelling.
    """

    store: Store
    experiment: Experiment
    dataset: Dataset
    annotator: str
    show_truth: bool

    def reread(self) -> Experiment:
        """The experiment as its log is now: buttons, jobs and fragments run later than the page."""
        return open_experiment(self.store, self.experiment.id)
