"""Rows of CSV files that a spreadsheet treats as text, whatever they contain."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import TextIO

# Where a spreadsheet sees a formula: at the start of a cell, and after the characters at which
# other locales split cells. The full-width signs come from East Asian keyboards.
START, FORMULA = r"(?:^|(?<=[;\t\r\n]))", r"""(?=[ '"]*[=+\-@\t\r\n＝＋－＠])"""
LIVE, INERT = re.compile(START + FORMULA), re.compile(START + "'" + FORMULA)


def write_row(file: TextIO, cells: Iterable[object]) -> None:
    """Write one row; text that a spreadsheet would compute gets an apostrophe in front, which
    :func:`as_meant` removes. Numbers stay as they are."""
    row = io.StringIO()
    # Python 3.11 quotes a carriage return only where rows end in one.
    csv.writer(row, lineterminator="\r\n").writerow(
        LIVE.sub("'", cell) if isinstance(cell, str) else cell for cell in cells
    )
    file.write(row.getvalue().removesuffix("\r\n") + "\n")


def as_meant(cell: str) -> str:
    """A cell as it was before :func:`write_row`."""
    return INERT.sub("", cell)
