"""Random spaces for Hypothesis, made from the candidate models alone, and an exhaustive `Suggest`."""

import copy
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from space_documents import small_document

from sweep.space import Assignment, Primitive, Space
from sweep.space.candidate import Architecture, Frozen, Recipe
from sweep.space.fields import own_base, submodels, without_none

Draw = Any


@st.composite
def documents(draw: Draw, finite: bool) -> dict[str, Any]:
    """A document with random architecture and recipe; ``finite``: without ranges of floats."""
    document = copy.deepcopy(small_document())
    document["architecture"] = _mapping(draw, Architecture, finite)
    document["recipe"] = _mapping(draw, Recipe, finite)
    document["teacher"] = {"candidate": "teacher.yaml"}
    return document


def _mapping(draw: Draw, model: type[Frozen], finite: bool) -> dict[str, Any]:
    """Forms of all required keys and of some of the others."""
    return {
        name: _form(draw, field, finite)
        for name, field in model.model_fields.items()
        if not _only_own(field) and (field.is_required() or not draw(st.integers(0, 3)))
    }


def _only_own(field: FieldInfo) -> bool:
    return own_base(field) is not None and not submodels(field)


def _form(draw: Draw, field: FieldInfo, finite: bool) -> Any:
    models = submodels(field)
    if field.discriminator:
        return _union(draw, models, finite)
    return _submodel(draw, models[0], finite) if models else _leaf(draw, field, finite)


def _union(draw: Draw, members: tuple[type[Frozen], ...], finite: bool) -> Any:
    chosen = draw(st.lists(st.sampled_from(members), min_size=1, unique=True))
    options = [_mapping(draw, member, finite) for member in chosen]
    if len(options) == 1 and draw(st.booleans()):
        return options[0]
    shared = {}
    common = set.intersection(*(set(option) for option in options)) - {"kind"}
    alike = [
        k
        for k in common
        if len({str((m.model_fields[k].annotation, m.model_fields[k].metadata)) for m in chosen}) == 1
    ]
    if len(options) > 1 and alike and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(alike)))
        shared = {key: options[0][key]}
        options = [{k: v for k, v in option.items() if k != key} for option in options]
    return {"choose": {option.pop("kind"): option for option in options}, **shared}


def _submodel(draw: Draw, model: type[Frozen], finite: bool) -> Any:
    """A mapping, or a joint choice of two that differ in their first key, which is fixed in both."""
    one = _mapping(draw, model, finite)
    required = [(k, f) for k, f in model.model_fields.items() if k != "kind" and f.is_required()]
    if draw(st.integers(0, 3)) or not required:
        return one
    key, field = required[0]
    values = draw(st.lists(_values(_leaf_schema(field)), min_size=2, max_size=2, unique=True))
    other = _mapping(draw, model, finite)
    return {"choose": {"one": {**one, key: values[0]}, "other": {**other, key: values[1]}}}


def _leaf_schema(field: FieldInfo) -> dict[str, Any]:
    present = without_none(field.annotation)
    annotation: Any = Annotated[present, *field.metadata] if field.metadata else present
    return TypeAdapter(annotation).json_schema()


def _leaf(draw: Draw, field: FieldInfo, finite: bool) -> Any:
    schema = _leaf_schema(field)
    values = _values(schema)
    form = draw(st.sampled_from(["fixed", "fixed", "fixed", "choose", "range"]))
    if form == "choose" and "const" not in schema:
        return {"choose": draw(st.lists(values, min_size=1, max_size=3, unique=True))}
    if form == "range" and schema["type"] == "integer" and "enum" not in schema:
        step = schema.get("multipleOf", 1) * draw(st.integers(1, 2))
        low = draw(values)
        room = (schema["maximum"] - low) // step
        return {"int": [low, low + step * draw(st.integers(0, min(room, 3)))], "step": step}
    if form == "range" and schema["type"] == "number" and not finite:
        low, high = sorted([draw(values), draw(values)])
        return {"float": [low, high], "log": low > 0 and draw(st.booleans())}
    return draw(values)


def _values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if schema["type"] == "boolean":
        return st.booleans()
    if schema["type"] == "string":
        return st.text("abc/", min_size=schema["minLength"], max_size=4)
    if schema["type"] == "integer":
        unit = schema.get("multipleOf", 1)
        return st.integers(-(-schema["minimum"] // unit), schema["maximum"] // unit).map(lambda n: n * unit)
    return st.floats(
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("exclusiveMaximum")),
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_subnormal=False,
    )


class _Replay:
    """Answers with the options whose indices are given, then with first options, noting how many there were."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = list(indices)
        self.sizes: list[int] = []

    def _pick(self, options: Sequence[Any]) -> Any:
        position = len(self.sizes)
        self.sizes.append(len(options))
        if position == len(self.indices):
            self.indices.append(0)
        return options[self.indices[position]]

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        return self._pick(options)

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        return self._pick(range(low, high + 1, step))

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        raise AssertionError(f"a finite space asks for {name} from {low} to {high}, log {log}")


def every_assignment(space: Space) -> Iterator[Assignment]:
    """All assignments of a finite space, one after the other, like an odometer."""
    indices: list[int] = []
    while True:
        replay = _Replay(indices)
        yield space.sample(replay)
        indices = replay.indices
        while indices and indices[-1] == replay.sizes[len(indices) - 1] - 1:
            indices.pop()
        if not indices:
            return
        indices[-1] += 1
