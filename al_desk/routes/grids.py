"""The grids that people answer in, as tokens name them: what is asked there, and who answers."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

from itsdangerous import BadSignature
from streamlit import user

from al_desk.routes.visitors import ENDS, asks_for_login, hour, person, signer

# An opinion is given blind, a truth is of a test image; what is left in a wall is accepted.
KINDS = ("batch", "review", "opinion", "truth", "accept")
AT_ONCE = 100  # tokens that a page may ask for
_SALT = "grid"


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid on somebody's page: its ``kind``, one of KINDS, and its ``batch``, or 0.

    ``guess_shown``: the model's predictions are seen before the answers. ``login``: of whom the
    page is, empty where no login is asked for.
    """

    experiment: int
    kind: str
    batch: int
    annotator: str
    guess_shown: bool = False
    login: str = ""


def token_of(grid: Grid) -> str:
    """What a browser needs to answer in a grid; the same for an hour, so that the page does not
    change with each run."""
    return _signed(grid, hour(), signer(_SALT))


@lru_cache(1000)
def _signed(grid: Grid, _hour: int, by: Any) -> str:
    return str(by.dumps(astuple(grid)))


def grid_of(token: object) -> Grid | None:
    """The grid of a token; None where it has ended, or is not ours."""
    try:
        return _grid(signer(_SALT).loads(token, max_age=ENDS)) if type(token) is str else None
    except BadSignature:
        return None


def renewed(asked: object) -> dict[str, str | None]:
    """New tokens, by what their grids are called, for a browser whose answers came with old ones;
    None for those of another person than has this page open."""
    found: dict[str, str | None] = {}
    for name in asked[:AT_ONCE] if isinstance(asked, list) else []:
        try:
            grid = _grid(json.loads(name))
        except (TypeError, ValueError):
            continue
        mine = grid is not None and grid.login == whose_page()
        found[str(name)] = token_of(grid) if grid and mine else None
    return found


def name_of(grid: Grid) -> str:
    """What a grid is called in the browser: all that its token says, for anybody to read."""
    return json.dumps(astuple(grid))


def whose_page() -> str:
    """Who has the page open that is drawn now; empty where no login is asked for."""
    return person(user.to_dict()) if asks_for_login() else ""


def _grid(fields: Any) -> Grid | None:
    match fields:
        case [int(one), str(kind), int(batch), str(who), bool(shown), str(login)] if kind in KINDS:
            return Grid(one, kind, batch, who, shown, login)
    return None
