"""Architectures of every kind: a Hypothesis strategy read off the candidate model itself, and a fixed set.

With the strategy, a new field or a new choice in the model is drawn without a change here.
"""

import types
import typing
from itertools import cycle
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sweep.space.candidate import Architecture, OwnPart
from sweep.space.encoders import STAGE_STRIDES

# Caps on the model's own bounds, by field name: large networks take seconds and teach nothing new. Between these
# all kinds of roundings of channels and blocks occur.
CAPS: dict[str, float] = {"height": 160, "width": 160, "depth": 2, "expansion": 4}
MULTIPLIER_CAPS: dict[str, float] = {"width": 0.6, "depth": 0.6}
DECODER_WIDTH_CAP = 48


def architectures(encoder: str | None = None) -> st.SearchStrategy[Architecture]:
    """Valid architectures of moderate size; with an encoder of that kind, if one is given."""
    values = spelled(Architecture)
    if encoder is not None:
        values = st.builds(lambda whole, part: {**whole, "encoder": part}, values, spelled(ENCODERS[encoder]))
    return values.map(made_valid).map(Architecture.model_validate)


def made_valid(values: dict[str, Any]) -> dict[str, Any]:
    """The values with no more stages than there are, a size of whole strides, and an output stride that fits."""
    encoder = values["encoder"]
    if encoder["kind"] in STAGE_STRIDES:
        strides = STAGE_STRIDES[encoder["kind"]]
        encoder = {**encoder, "stages": min(encoder["stages"], len(strides))}
        stride = strides[encoder["stages"] - 1]
    else:
        stride = {"stride_8": 8, "stride_16": 16, "stride_32": 32}[encoder["stop"]["kind"]]
    size = {edge: -(-values["input"][edge] // stride) * stride for edge in ("height", "width")}
    output = {**values["output"], "stride": min(values["output"]["stride"], stride // 2)}
    return {**values, "encoder": encoder, "input": {**values["input"], **size}, "output": output}


def spelled(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Plain values for every field of a model; fields with a default are left out half of the time."""
    fields = {name: values_of(name, field) for name, field in model.model_fields.items()}
    required = {name: values for name, values in fields.items() if model.model_fields[name].is_required()}
    optional = {name: values for name, values in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def values_of(name: str, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Values for one field by its type and bounds."""
    choices = [choice for choice in plain_types(field.annotation) if not is_left_out(choice)]
    return st.one_of([values_of_type(name, choice, field) for choice in choices])


def plain_types(annotation: Any) -> list[Any]:
    """The members of a union, however nested, without annotations."""
    if get_origin(annotation) is Annotated:
        return plain_types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [choice for member in get_args(annotation) for choice in plain_types(member)]
    return [annotation]


def is_left_out(annotation: Any) -> bool:
    """Whether it is a part of another package, or the None of a field that may be absent."""
    return annotation is type(None) or (isinstance(annotation, type) and issubclass(annotation, OwnPart))


def values_of_type(name: str, annotation: Any, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Values of one type."""
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if annotation is bool:
        return st.booleans()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return spelled(annotation)
    low, high, step = bounds(field)
    if annotation is float:
        high = min(high, MULTIPLIER_CAPS.get(name, CAPS.get(name, high)))
        return st.floats(low, high).map(lambda value: round(value, 3))
    assert annotation is int, f"no strategy for field {name} of type {annotation}"
    high = min(high, DECODER_WIDTH_CAP if name == "width" and step == 8 else CAPS.get(name, high))
    return st.integers(-(-int(low) // step), int(high) // step).map(lambda value: value * step)


def bounds(field: FieldInfo) -> tuple[float, float, int]:
    """(minimum, maximum, step) of a number."""
    low, high, step = 0.0, 1e9, 1
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            low = float(typing.cast(float, item.ge))
        elif isinstance(item, annotated_types.Le):
            high = float(typing.cast(float, item.le))
        elif isinstance(item, annotated_types.MultipleOf):
            step = int(typing.cast(int, item.multiple_of))
    return low, high, step


def kinds_of(field: str) -> dict[str, type[BaseModel]]:
    """The built-in models that a field of an architecture chooses from, by their kind."""
    models = plain_types(Architecture.model_fields[field].annotation)
    return {
        get_args(model.model_fields["kind"].annotation)[0]: model
        for model in models
        if not is_left_out(model)
    }


ENCODERS = kinds_of("encoder")
DECODERS = kinds_of("decoder")


def diverse_architectures() -> dict[str, Architecture]:
    """One with each encoder, which between them have every decoder, context, output and activation."""
    own: dict[str, dict[str, Any]] = {
        "concat": {"taper": 0.5},
        "separable": {"kernel": 5},
        "collapsible": {"taper": 0.7, "depth": 2, "expansion": 4},
        "feature_fusion": {"taper": 0.5, "convolution": "separable", "kernel": 3},
    }
    decoders = cycle(DECODERS)
    found = {}
    for index, kind in enumerate(sorted(STAGE_STRIDES)):
        decoder = next(decoders)
        upsampling = ("nearest", "bilinear")[index % 2]
        encoder = {"kind": kind, "width": 0.4, "stages": len(STAGE_STRIDES[kind]) - index % 2}
        changed = {"stage2": {"activation": "swish", "squeeze_excite": True, "kernel": 7}}
        context = {"kind": "aspp", "width": 24, "dilation": 1 + index} if index % 4 < 2 else {"kind": "none"}
        inner = {"kind": "resize_to", "height": 48, "width": 64} if index % 5 == 0 else {"kind": "none"}
        found[f"{kind}-{decoder}"] = Architecture.model_validate(
            {
                "input": {"height": 96, "width": 128, "resize": "bilinear"},
                "encoder": {**encoder, **(changed if index % 3 == 0 else {})},
                "context": context,
                "decoder": {"kind": decoder, "width": 24, "upsampling": upsampling, **own.get(decoder, {})},
                "output": {"stride": (1, 2, 4)[index % 3], "upsampling": upsampling, "inner": inner},
            }
        )
    return found
