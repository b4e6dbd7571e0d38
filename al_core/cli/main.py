"""The command line: ``python -m al_core`` and the name of a command."""

from __future__ import annotations

from al_core.cli.choose import choose
from al_core.cli.classes import classes
from al_core.cli.experiment import export, import_table, move, replay
from al_core.cli.features import embed, pretrain
from al_core.cli.keeping import backup, delete, restore, storage
from al_core.cli.simulate import simulate
from al_core.cli.terminal import SentenceGroup

main = SentenceGroup(
    "main",
    commands=[
        *(simulate, choose, embed, pretrain, export, import_table, move, replay, classes),
        *(storage, delete, backup, restore),
    ],
    help="Active learning on images: simulate experiments, learn and compute features, take labels "
    "away and bring labels in, look after what is kept.",
)
