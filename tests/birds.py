"""An experiment of the store alone, and annotations of it."""

from al_core.store.records import Annotation, FirstRows
from al_core.store.store import Store


def new(store: Store, name: str = "birds", **first) -> int:
    return store.create_experiment(name, {"seed": 1}, "abc", 100, FirstRows(**first))


def said(image: int, label: int | None, event: str | None = None) -> Annotation:
    return Annotation(image, label, 1, "ada", key=f"{image}.png", event=event, milliseconds=250)
