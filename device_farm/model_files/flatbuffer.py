"""Reads flatbuffers that nobody vouches for: every offset and size is checked before it is followed.

A flatbuffer is a tree of *tables*. A table starts with the signed distance to its *vtable*, which tells the
table's size and, for each field of the schema, where in the table the field lies (0: absent). Strings,
vectors and other tables are referred to by unsigned distances, so they always lie behind the reference.
The format is described at https://flatbuffers.dev/internals/.

The work is bounded, whatever the bytes say: a schema without recursion bounds the depth, and ``max_parts``
bounds the number of tables and integers that are read. Vectors of plain numbers are never walked or copied.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

UINT32 = struct.Struct("<I")
INT32 = struct.Struct("<i")
TWO_UINT16 = struct.Struct("<HH")
MAX_DISTANCE = 2**31 - 1  # flatbuffers are smaller than 2 GiB

SCALARS: Mapping[str, struct.Struct] = {
    "bool": struct.Struct("<?"),
    "int8": struct.Struct("<b"),
    "uint8": struct.Struct("<B"),
    "uint16": struct.Struct("<H"),
    "int32": INT32,
    "uint32": UINT32,
    "int64": struct.Struct("<q"),
    "uint64": struct.Struct("<Q"),
    "float32": struct.Struct("<f"),
}


class Damaged(ValueError):
    """The bytes are no flatbuffer of the schema; the message says where and why.

    ``truncated`` is True when something reaches beyond the end of the bytes.
    """

    def __init__(self, reason: str, *, truncated: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.truncated = truncated
        self.places: tuple[str, ...] = ()

    def within(self, place: str) -> Damaged:
        """The same error, known to lie within ``place``; called from the inside out."""
        self.places = (place, *self.places)
        return self

    def __str__(self) -> str:
        return ": ".join(part for part in (", ".join(self.places), self.reason) if part)


class Span(NamedTuple):
    """A vector of numbers that lies within the bytes: where its first item starts, and how many there are."""

    position: int
    length: int


NOTHING = Span(0, 0)


class Table:
    """A table whose bounds are known to be sound. Absent fields have the schema's default."""

    __slots__ = ("kind", "position", "values")

    def __init__(self, kind: str, position: int, values: dict[str, Any]) -> None:
        self.kind = kind
        self.position = position
        self.values = values

    def __getitem__(self, field: str) -> Any:
        return self.values[field]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number, stored in the table itself."""

    name: str
    format: struct.Struct
    default: int

    @property
    def inline_bytes(self) -> int:
        return self.format.size

    def read(self, reader: Reader, position: int, siblings: Mapping[str, Any]) -> Any:
        del siblings
        return self.format.unpack_from(reader.data, position)[0]


@dataclass(frozen=True, slots=True)
class Text:
    """A string; only its bounds and its end are read."""

    name: str
    default: Span = NOTHING
    inline_bytes: int = 4

    def read(self, reader: Reader, position: int, siblings: Mapping[str, Any]) -> Span:
        del siblings
        return reader.string(position, self.name)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A vector of numbers; only its bounds are read."""

    name: str
    item_bytes: int
    default: Span = NOTHING
    inline_bytes: int = 4

    def read(self, reader: Reader, position: int, siblings: Mapping[str, Any]) -> Span:
        del siblings
        return reader.vector(position, self.item_bytes, self.name)


@dataclass(frozen=True, slots=True)
class Tables:
    """A vector of tables."""

    name: str
    kind: str
    default: tuple[Table, ...] = ()
    inline_bytes: int = 4

    def read(self, reader: Reader, position: int, siblings: Mapping[str, Any]) -> tuple[Table, ...]:
        del siblings
        return reader.tables(position, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Child:
    """A table of one kind."""

    name: str
    kind: str
    default: None = None
    inline_bytes: int = 4

    def read(self, reader: Reader, position: int, siblings: Mapping[str, Any]) -> Table:
        del siblings
        return reader.child(position, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Union:
    """A table of one of several kinds, named by the field before it. One that is too new stays opaque."""

    name: str
    kinds: tuple[str, ...]
    default: None = None
    inline_bytes: int = 4

    def read(self, reader: Reader, position: int, siblings: Mapping[str, Any]) -> Table | None:
        kind = siblings[self.name + "_type"]
        if kind == 0:
            return None
        return reader.child(position, self.kinds[kind] if kind < len(self.kinds) else OPAQUE, self.name)


Field = Scalar | Text | Numbers | Tables | Child | Union
OPAQUE = ""  # a kind of table that no schema declares


@dataclass(frozen=True)
class Schema:
    """The fields of each kind of table by their number; None stands for a field that is no longer used.

    Of a kind that is not listed, only the table's own bounds and its vtable's are read.
    """

    tables: Mapping[str, tuple[Field | None, ...]]

    @classmethod
    def parse(cls, text: str) -> Schema:
        """Reads declarations ``table NAME field:type ...`` and ``union NAME table ...``, fields in their order.

        Types are those of flatbuffers' own schema language: scalars (``int32``, or ``int32=1`` with a default
        other than 0), ``string``, tables, unions, and in brackets vectors. A field ``-`` is no longer used.
        A line that starts with a space goes on with the declaration before it.
        """
        declarations = [line.split() for line in text.replace("\n ", " ").strip().splitlines()]
        unions = {name: (OPAQUE, *kinds) for word, name, *kinds in declarations if word == "union"}
        return cls(
            {
                name: tuple(_field(field, unions) for field in fields)
                for word, name, *fields in declarations
                if word == "table"
            }
        )


def _field(declaration: str, unions: Mapping[str, tuple[str, ...]]) -> Field | None:
    if declaration == "-":
        return None
    name, _, kind = declaration.partition(":")
    kind, _, default = kind.partition("=")
    item = kind.strip("[]")
    if kind != item:
        return Numbers(name, SCALARS[item].size) if item in SCALARS else Tables(name, item)
    if kind in SCALARS:
        number = int(default or 0)
        return Scalar(name, SCALARS[kind], number != 0 if kind == "bool" else number)
    if kind in unions:
        return Union(name, unions[kind])
    return Text(name) if kind == "string" else Child(name, kind)


class _Layout(NamedTuple):
    """What one vtable says about tables of one kind: their size, and where the fields lie that are present."""

    table_bytes: int
    fields: tuple[tuple[str, int, Field], ...]
    defaults: dict[str, Any]


class Reader:
    """Reads tables of a schema from ``data``; reads at most ``max_parts`` tables and integers.

    Every method raises Damaged when something does not lie within the data.
    """

    def __init__(self, data: memoryview, schema: Schema, max_parts: int) -> None:
        self.data = data
        self._size = len(data)
        self._schema = schema
        self._layouts: dict[tuple[str, int], _Layout] = {}
        self._max_parts = max_parts
        self._parts = 0

    def root(self, kind: str) -> Table:
        """The table that the first four bytes refer to."""
        self.require(UINT32.size, "the header")
        return self.table(kind, self._target(0, "the root table"))

    def table(self, kind: str, position: int) -> Table:
        """The table at ``position``, with all that it refers to."""
        self._spend(1)
        self.require(position + 4, "a table")
        layout = self._layout(kind, position - INT32.unpack_from(self.data, position)[0])
        self.require(position + layout.table_bytes, "a table")
        values = layout.defaults.copy()
        for name, offset, field in layout.fields:
            values[name] = field.read(self, position + offset, values)
        return Table(kind, position, values)

    def child(self, reference: int, kind: str, name: str) -> Table:
        """The table that the reference refers to."""
        try:
            return self.table(kind, self._target(reference, "the table"))
        except Damaged as damage:
            raise damage.within(_in_words(name)) from None

    def tables(self, reference: int, kind: str, name: str) -> tuple[Table, ...]:
        """The tables of the vector that the reference refers to."""
        start, count = self.vector(reference, 4, name)
        self._spend(count)
        found = []
        for index in range(count):
            try:
                found.append(self.table(kind, self._target(start + 4 * index, "the table")))
            except Damaged as damage:
                raise damage.within(f"{_in_words(name.removesuffix('s'))} {index}") from None
        return tuple(found)

    def vector(self, reference: int, item_bytes: int, name: str) -> Span:
        """The bounds of the vector that the reference refers to."""
        length = self._target(reference, f"the vector of {_in_words(name)}")
        self.require(length + 4, f"the length of the vector of {_in_words(name)}")
        count = UINT32.unpack_from(self.data, length)[0]
        end = length + 4 + count * item_bytes
        if end > self._size:
            self.require(end, f"the vector of {_in_words(name)}")
        return Span(length + 4, count)

    def integers(self, span: Span) -> tuple[int, ...]:
        """The items of a vector of int32."""
        if span.length == 0:
            return ()
        self._spend(span.length)
        return struct.unpack_from(f"<{span.length}i", self.data, span.position)

    def floats(self, span: Span) -> tuple[float, ...]:
        """The items of a vector of float32."""
        self._spend(span.length // 8)  # there may be many, and they are quick to read
        return struct.unpack_from(f"<{span.length}f", self.data, span.position)

    def string(self, reference: int, name: str) -> Span:
        """The bounds of the string that the reference refers to, without the zero byte that must follow it."""
        span = self.vector(reference, 1, name)
        end = span.position + span.length
        if end >= self._size or self.data[end] != 0:
            raise Damaged(f"the string of {_in_words(name)} has no zero byte at its end, byte {end:,}")
        return span

    def text(self, span: Span) -> str:
        """The characters of a string; bytes that are no UTF-8 become replacement characters."""
        self._spend(span.length)
        return bytes(self.data[span.position : span.position + span.length]).decode(errors="replace")

    def field_position(self, table: Table, name: str) -> int:
        """Where the field lies in the data. Raises KeyError if it is absent."""
        layout = self._layout(table.kind, table.position - INT32.unpack_from(self.data, table.position)[0])
        return table.position + {field: offset for field, offset, _ in layout.fields}[name]

    def target_position(self, table: Table, name: str) -> int:
        """Where the string, vector or table of the field starts. Raises KeyError if the field is absent."""
        return self._target(self.field_position(table, name), name)

    def require(self, end: int, what: str) -> None:
        """Raises Damaged when ``what``, which ends before byte ``end``, reaches beyond the data."""
        if end > self._size:
            raise Damaged(f"{what} ends at byte {end:,} of {self._size:,}", truncated=True)

    def _target(self, reference: int, what: str) -> int:
        """Where the reference points to."""
        distance: int = UINT32.unpack_from(self.data, reference)[0]
        target = reference + distance
        if not 0 < distance <= MAX_DISTANCE or target % 4:
            raise Damaged(f"{what} cannot start {distance:,} bytes behind byte {reference:,}")
        return target

    def _spend(self, parts: int) -> None:
        self._parts += parts
        if self._parts > self._max_parts:
            raise Damaged(f"more than {self._max_parts:,} tables and indexes in {self._size:,} bytes")

    def _layout(self, kind: str, vtable: int) -> _Layout:
        layout = self._layouts.get((kind, vtable))
        if layout is None:
            layout = self._layouts[kind, vtable] = self._read_layout(kind, vtable)
        return layout

    def _read_layout(self, kind: str, vtable: int) -> _Layout:
        if vtable < 0 or vtable % 2:
            raise Damaged(f"a vtable cannot start at byte {vtable:,}")
        self.require(vtable + TWO_UINT16.size, "a vtable")
        vtable_bytes, table_bytes = TWO_UINT16.unpack_from(self.data, vtable)
        self.require(vtable + vtable_bytes, "a vtable")
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise Damaged(f"the vtable at byte {vtable:,} has sizes {vtable_bytes} and {table_bytes}")
        fields = self._schema.tables.get(kind, ())
        known = min(len(fields), vtable_bytes // 2 - 2)
        offsets = struct.unpack_from(f"<{known}H", self.data, vtable + 4)
        present = []
        for field, offset in zip(fields, offsets, strict=False):
            if field is None or offset == 0:
                continue
            size = field.inline_bytes
            if offset < 4 or offset + size > table_bytes or offset % min(size, 4):
                raise Damaged(f"field {field.name} lies at byte {offset} of a table of {table_bytes} bytes")
            present.append((field.name, offset, field))
        defaults = {field.name: field.default for field in fields if field is not None}
        return _Layout(table_bytes, tuple(present), defaults)


def _in_words(name: str) -> str:
    return name.replace("_", " ")
