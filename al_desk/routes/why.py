"""Why an image was chosen, for the panel of the grid."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from al_core.errors import ActiveLearningError
from al_core.experiment.experiment import open_experiment
from al_core.experiment.pool import Pool
from al_core.store.records import Batch
from al_core.strategies.registry import titled
from al_desk.routes.grids import grid_of
from al_desk.routes.pictures import shown
from al_desk.routes.visitors import base, visitor
from al_desk.server.images import images_at_hand
from al_desk.server.resources import open_store

PATH = "/why/{image:int}"


def why_address() -> str:
    """Where the grid asks: an image, and the token of the grid are to follow."""
    return f"{base()}/why/"


def why(request: Request) -> Response:
    """Why an image of a batch was chosen, as JSON."""
    login = visitor(request)
    if login is None:
        return Response(status_code=403)
    grid = grid_of(request.query_params.get("grid"))
    if grid is None or grid.login != login:
        return Response(status_code=401)
    try:
        batch = open_store().batch(grid.batch)
        image = request.path_params["image"]
        if batch is None or image not in batch.images:
            return Response(status_code=404)
        found = explained(grid.experiment, batch, image)
    except ActiveLearningError as error:
        found = {"image": image, "chosen": str(error), "top": None, "hidden": "", "near": []}
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def explained(experiment_id: int, batch: Batch, image: int) -> dict[str, Any]:
    """Why an image was chosen, as the grid's panel shows it.

    The model's guess stays hidden while the image has no label, as it does in the grid.
    """
    store = open_store()
    experiment = open_experiment(store, experiment_id)
    images = images_at_hand(experiment)
    place = list(batch.images).index(image)
    reasons = batch.reasons
    near = list(reasons.nearest[place]) if reasons and images else []  # of an audit none
    log = store.annotations(experiment.id, [image, *near])
    answers = Pool.fold(experiment.pool_size, experiment.classes.mapped(log)).answers
    answered = image in answers and answers[image].label is not None
    near = [i for i in near if i in answers and answers[i].label is not None]
    top = reasons.top[place] if reasons and reasons.top else None
    hidden = "Shown once the image has a label."
    if image in (batch.audits or ()):
        top = None
        if answered:
            hidden = "Not told of an image that was accepted before."
    elif top is None:
        hidden = "None: there was no model yet when this image was chosen."
    return {
        "image": image,
        "chosen": _chosen(batch, place),
        "top": top if answered or (experiment.config.show_guesses and not batch.audits) else None,
        "hidden": hidden,
        "near": [answers[i].label for i in near],
        "pictures": shown(images.train, near) if images else [],
    }


def _chosen(batch: Batch, place: int) -> str:
    if batch.images[place] in (batch.audits or ()):
        return "Drawn at random."
    if batch.images[place] in (batch.held_out or ()):
        return "Drawn at random from the whole pool to measure the model, which never trains on it."
    if batch.reasons is None or batch.strategy == "random":
        return "Drawn at random."
    title = titled(batch.strategy)
    of = f"{batch.reasons.pool:,} unlabelled images"
    model = batch.model
    by = "before there was a model" if model is None else f"by the model of round {model}"
    if batch.scores is None or batch.reasons.rank is None:
        return f"Chosen by {title} among {of}, {by}."
    rank = f"rank {batch.reasons.rank[place]:,} of {of}"
    return f"{title} {batch.scores[place]:.3f}: {rank}, {by}."
