"""A Hypothesis strategy for architectures, read off the candidate model itself.

A new field or a new choice in the model is drawn without a change here.
"""

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sweep.space.candidate import Architecture

# Caps below the model's own bounds, by field name: the largest networks take seconds and teach nothing new.
CAPS: dict[str, int] = {"height": 128, "width": 160, "depth": 3, "expansion": 4}
CHANNEL_MULTIPLIER_CAP = 1


def architectures() -> st.SearchStrategy[Architecture]:
    """Valid architectures of moderate size."""
    return spelled(Architecture).filter(is_valid).map(Architecture.model_validate)


def is_valid(values: dict[str, Any]) -> bool:
    try:
        Architecture.model_validate(values)
    except ValidationError:
        return False
    return True


def spelled(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Plain values for every field of a model."""
    return st.fixed_dictionaries(
        {name: values_of(name, field.annotation, field) for name, field in model.model_fields.items()}
    )


def values_of(name: str, annotation: Any, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Values for one field by its type and bounds."""
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return st.one_of(*(spelled(choice) for choice in get_args(annotation)))
    if annotation is bool:
        return st.booleans()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return spelled(annotation)
    low, high, step = bounds(field)
    if annotation is float:
        cap = CHANNEL_MULTIPLIER_CAP if name == "width" else CAPS.get(name, high)
        return st.floats(low, min(high, cap)).map(lambda value: round(value, 3))
    assert annotation is int, f"no strategy for field {name} of type {annotation}"
    high = min(high, CAPS.get(name, high))
    return st.integers(-(-int(low) // step), int(high) // step).map(lambda value: value * step)


def bounds(field: FieldInfo) -> tuple[float, float, int]:
    """(minimum, maximum, step) of a number."""
    low, high, step = 0.0, 1e9, 1
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            low = float(item.ge)  # type: ignore[arg-type]  # bounds are numbers here
        elif isinstance(item, annotated_types.Le):
            high = float(item.le)  # type: ignore[arg-type]  # bounds are numbers here
        elif isinstance(item, annotated_types.MultipleOf):
            step = int(item.multiple_of)  # type: ignore[call-overload]  # likewise
    return low, high, step
