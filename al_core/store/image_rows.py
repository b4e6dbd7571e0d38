"""The rows of a manifest, column by column: a million of them take a fifth of a gigabyte, and as
objects they would take more than one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from al_core.store.records import HERE, ImageRow, now

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 4096  # rows that become objects together


class ImageRows(Sequence[ImageRow]):
    """Rows in the order they were written, as a PyArrow ``table`` with a column for each field of
    :class:`ImageRow`. They never change, and become objects only when they are asked for."""

    def __init__(self, table: pa.Table | None = None) -> None:
        self._given = table

    @property
    def _table(self) -> pa.Table:
        if self._given is None:  # without PyArrow, which takes a while to import
            self._given = schema().empty_table()
        return self._given

    @classmethod
    def of(cls, rows: Iterable[ImageRow]) -> ImageRows:
        """These rows."""
        if isinstance(rows, ImageRows):
            return rows
        rows = list(rows)
        return cls.of_columns({
            one.name: [getattr(row, one.name) for row in rows] for one in fields(ImageRow)
        })  # fmt: skip

    @classmethod
    def of_columns(cls, columns: Mapping[str, Any]) -> ImageRows:
        """N rows, from a sequence or an array [N] for each field; those that are not named are the
        same in all rows, as :class:`ImageRow` has them."""
        import pyarrow as pa

        count, kinds = len(columns["key"]), schema()
        same = {"other_names": [], "digest": "", "shows": "", "width": 0, "height": 0,
                "state": HERE, "label": "", "created_at": now(), "stamp": ""}  # fmt: skip
        made = []
        for one in kinds:
            if one.name in columns:
                made.append(_array(columns[one.name], one.type))
            else:
                first = pa.array([same[one.name]] * min(count, 1), one.type)
                made.append(first.take(pa.array(np.zeros(count, np.int64))))
        return cls(pa.table(made, schema=kinds))

    @classmethod
    def read(cls, block: bytes) -> ImageRows:
        """The rows of a block, also of one that an earlier version wrote, which lacks the last
        columns. Raises ValueError for a damaged one."""
        import pyarrow as pa

        table = pa.ipc.open_stream(block).read_all()
        there = {name: table[name] for name in table.column_names}
        if len(there) == len(schema()):
            return cls(table)
        return cls.of_columns({name: one.combine_chunks() for name, one in there.items()})

    def as_block(self) -> bytes:
        """The rows as an Arrow stream."""
        import pyarrow as pa

        made = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        table = self._table.unify_dictionaries().combine_chunks()
        with pa.ipc.new_stream(made, table.schema, options=options) as stream:
            stream.write_table(table)
        return made.getvalue().to_pybytes()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return 0 if self._given is None else self._given.num_rows

    @overload
    def __getitem__(self, which: int) -> ImageRow: ...
    @overload
    def __getitem__(self, which: slice) -> ImageRows: ...
    def __getitem__(self, which: int | slice) -> ImageRow | ImageRows:
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            assert step == 1
            return ImageRows(self._table.slice(start, max(stop - start, 0)))
        place = range(len(self))[which]
        (row,) = self[place : place + 1]
        return row

    def __iter__(self) -> Iterator[ImageRow]:
        for part in self._table.to_batches(max_chunksize=AT_ONCE):
            yield from map(ImageRow, *map(_values, part.columns))

    def __add__(self, others: Iterable[ImageRow]) -> ImageRows:
        import pyarrow as pa

        return ImageRows(pa.concat_tables([self._table, ImageRows.of(others)._table]))

    def take(self, places: NDArray[np.int64]) -> ImageRows:
        """The rows at ``places`` int64 [n], in that order."""
        count = len(places)
        first = int(places[0]) if count else 0
        if np.array_equal(places, np.arange(first, first + count)):
            return self[first : first + count]  # nothing is copied
        return ImageRows(self._table.take(places))

    def those(self, name: str, *values: str) -> ImageRows:
        """The rows of which a field is one of ``values``."""
        return self.take(np.flatnonzero(self.where(name, *values)))

    def values(self, name: str) -> list[Any]:
        """One field of all rows."""
        return [value for chunk in self._table[name].chunks for value in _values(chunk)]

    def positions(self) -> NDArray[np.int64]:
        """The position of each row, int64 [N]."""
        return self._table["position"].to_numpy()  # type: ignore[no-any-return]

    def find(self, name: str, values: Sequence[str] | pa.Array) -> NDArray[np.int64]:
        """The first place among ``values`` of what each row has in a field, int64 [N]; -1 where it
        is none of them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        places = pc.index_in(self._table[name], _array(values, pa.string()))
        return places.fill_null(-1).to_numpy().astype(np.int64)  # type: ignore[no-any-return]

    def times(self) -> NDArray[np.datetime64]:
        """When each row was written, datetime64 [N]."""
        return self._table["created_at"].to_numpy()  # type: ignore[no-any-return]

    def further_names(self) -> list[str]:
        """All names of the images of the rows beside their keys."""
        import pyarrow.compute as pc

        return pc.list_flatten(self._table["other_names"]).to_pylist()  # type: ignore[no-any-return]

    def same(self, name: str, values: Sequence[str] | NDArray[Any] | pa.Array) -> bool:
        """Whether a field of the N rows has these N values."""
        import pyarrow as pa

        wanted = pa.chunked_array([_array(values, pa.string())])
        return self._table[name].cast(pa.string()).equals(wanted)  # type: ignore[no-any-return]

    def counts(self, name: str) -> dict[str, int]:
        """How many rows have each value of a field."""
        import pyarrow.compute as pc

        found = pc.value_counts(self._table[name].cast("string"))
        return {str(one["values"]): one["counts"].as_py() for one in found}

    def where(self, name: str, *values: str) -> NDArray[np.bool_]:
        """Whether a field of each row is one of ``values``, bool [N]."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(values, pa.string())
        return pc.is_in(self._table[name], wanted).to_numpy()  # type: ignore[no-any-return]

    def alike(self, others: ImageRows, name: str) -> NDArray[np.bool_]:
        """Whether a field of each row is that of the row beside it in ``others``, bool [N]."""
        import pyarrow.compute as pc

        return pc.equal(self._table[name], others._table[name]).to_numpy()  # type: ignore[no-any-return]


@lru_cache(1)
def schema() -> pa.Schema:
    """The columns and their types."""
    import pyarrow as pa

    repeated, text = pa.dictionary(pa.int32(), pa.string()), pa.string()
    kinds = {
        "split": repeated, "position": pa.int64(), "key": text, "other_names": pa.list_(text),
        "digest": text, "shows": text, "width": pa.int64(), "height": pa.int64(),
        "state": repeated, "label": repeated, "created_at": pa.timestamp("us", "UTC"),
        "stamp": text,
    }  # fmt: skip
    return pa.schema([(one.name, kinds[one.name]) for one in fields(ImageRow)])


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    """A PyArrow array of what is one already, or a sequence."""
    import pyarrow as pa

    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _values(column: pa.Array) -> list[Any]:
    """A column as plain values; each is made once where it occurs again, as times are, which would
    take 7 µs each."""
    import pyarrow as pa

    if pa.types.is_list(column.type):
        return [tuple(names) for names in column.to_pylist()]
    if pa.types.is_timestamp(column.type):
        column = column.dictionary_encode()
    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    known = column.dictionary.to_pylist()
    return [known[place] for place in column.indices.to_numpy().tolist()]
