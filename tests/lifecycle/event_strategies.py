"""Hypothesis strategies for every event of the journal's vocabulary."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from sweep.lifecycle.events import EVENT_TYPES

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def _field_values(annotation: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(annotation) is typing.Literal:
        return st.sampled_from(typing.get_args(annotation))
    if isinstance(annotation, types.UnionType):
        return st.one_of(*(_field_values(part) for part in typing.get_args(annotation)))
    if typing.get_origin(annotation) is Mapping:
        return st.dictionaries(text, _field_values(typing.get_args(annotation)[1]), max_size=3)
    if typing.get_origin(annotation) is Sequence:
        return st.lists(_field_values(typing.get_args(annotation)[0]), max_size=3)
    simple = {int: st.integers(), float: finite, str: text, type(None): st.none(), Any: json_values}
    return simple[annotation]


def events_of(event_type: type) -> st.SearchStrategy[Any]:
    """Events of one type with any values that its annotations allow."""
    hints = typing.get_type_hints(event_type)
    fields = {field.name: _field_values(hints[field.name]) for field in dataclasses.fields(event_type)}
    return st.builds(event_type, **fields)


any_event = st.one_of(*(events_of(event_type) for event_type in EVENT_TYPES.values()))
