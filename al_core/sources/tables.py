"""Files that hold rows: parquet, and Arrow as Hugging Face's ``save_to_disk`` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from al_core.errors import SourceError

BATCH = 256  # rows read at once


class Table(Protocol):
    """An open file: its PyArrow schema, and the number of rows in each of its groups."""

    schema: Any
    groups: list[int]

    def read(self, columns: Sequence[str]) -> Any:
        """These columns of all rows, a PyArrow table; "image.path" is a field of a column."""

    def batches(self, column: str) -> Iterator[Any]:
        """The column, a PyArrow array of some rows at a time."""

    def group(self, number: int, column: str) -> Any:
        """The column in one group of rows, in PyArrow's terms."""


@contextmanager
def opened(source: Any, name: str) -> Iterator[Table]:
    """Open ``source``, a path or a file of PyArrow, as a table; it is called ``name`` in sentences.

    Raises SourceError, also within, where the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if is_arrow(name):
            with pa.memory_map(str(source)) as file:
                yield _Arrow(file)
            return
        # Without pre_buffer a row group is read page by page, however large it is.
        with pq.ParquetFile(source, pre_buffer=False) as file:
            yield _Parquet(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = "Arrow" if is_arrow(name) else "parquet"
        raise SourceError(f"{name} is damaged or is no {kind} file.") from error


def is_parquet(name: str) -> bool:
    """Whether a file of that name is parquet."""
    return name.lower().endswith(".parquet")


def is_arrow(name: str) -> bool:
    """Whether a file of that name is Arrow."""
    return name.lower().endswith(".arrow")


class _Parquet:
    def __init__(self, file: Any) -> None:
        self._file, self.schema = file, file.schema_arrow
        about = file.metadata
        self.groups = [about.row_group(i).num_rows for i in range(about.num_row_groups)]

    def read(self, columns: Sequence[str]) -> Any:
        return self._file.read(columns=columns)

    def batches(self, column: str) -> Iterator[Any]:
        for batch in self._file.iter_batches(BATCH, columns=[column], use_threads=False):
            yield batch.column(0)

    def group(self, number: int, column: str) -> Any:
        return self._file.read_row_group(number, columns=[column]).column(0)


class _Arrow:
    """Mapped into memory, and so checked before it is used: a damaged offset leads anywhere."""

    def __init__(self, file: Any) -> None:
        import pyarrow as pa

        try:
            with pa.ipc.open_stream(file) as stream:
                self.schema, self._batches = stream.schema, [*stream]
        except pa.ArrowInvalid:
            file.seek(0)
            with pa.ipc.open_file(file) as whole:
                count = whole.num_record_batches
                self.schema = whole.schema
                self._batches = [whole.get_batch(i) for i in range(count)]
        for batch in self._batches:
            batch.validate(full=True)
        self.groups = [len(batch) for batch in self._batches]

    def read(self, columns: Sequence[str]) -> Any:
        import pyarrow as pa

        whole = pa.Table.from_batches(self._batches, self.schema)
        return whole.select(list(dict.fromkeys(name.partition(".")[0] for name in columns)))

    def batches(self, column: str) -> Iterator[Any]:
        for batch in self._batches:
            for start in range(0, len(batch), BATCH):
                yield batch.column(column)[start : start + BATCH]

    def group(self, number: int, column: str) -> Any:
        return self._batches[number].column(column)
