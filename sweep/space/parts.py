"""What the models of a candidate have in common, and parts that come from other packages."""

import importlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

Activation = Literal["relu", "relu6", "hard_swish", "swish"]
Upsampling = Literal["nearest", "bilinear"]


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Dotted keys that this model's own validators compare: all that can make a combination impossible.
    constrained: ClassVar[tuple[str, ...]] = ()

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: object) -> object:
        return value + 0.0 if isinstance(value, float) else value  # -0.0 equals 0.0, so it must hash alike


class OwnPart(Frozen):
    """Base of a part from another package. Its ``kind`` is where it is found: ``package.module:Class``.

    A space file names it like any other kind, and every process that meets it imports it from there: nothing is
    registered anywhere. A subclass declares ``kind: Literal["package.module:Class"]`` and its own keys.
    """

    kind: str


Own = TypeVar("Own", bound=OwnPart)


def is_own(kind: object) -> bool:
    """Whether a kind is an import path rather than one of this package's own words."""
    return isinstance(kind, str) and ":" in kind


def own_class(kind: str, base: type[Own]) -> type[Own]:
    """The class that an import path names.

    Raises:
        ValueError: there is no such module or class, or it is not a subclass of ``base``.
    """
    module, _, name = kind.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{kind} cannot be imported ({error}); allowed is package.module:Class") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{kind} is not a subclass of {base.__module__}.{base.__name__}")
    return found


def imported(base: type[Own]) -> WrapValidator:
    """Annotation of a field: a mapping becomes an instance of the class that its ``kind`` names."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, dict) and is_own(value.get("kind")):
            return own_class(value["kind"], base).model_validate(value)
        return handler(value)

    return WrapValidator(validate)


def own_or_built_in(value: Any) -> str:
    """Which side of a union of built-in kinds and own parts a value belongs to."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "<own>" if is_own(kind) else "<built-in>"


def maybe(description: str, **bounds: Any) -> Any:
    """A key that may be absent; then the canonical form has no such key."""
    return Field(default=None, exclude_if=_is_none, description=description, **bounds)


def defaulting(default: Any, description: str, **bounds: Any) -> Any:
    """A key with a default, at which the canonical form has no such key.

    So candidates written before there was such a key are still the same candidates.
    """
    return Field(default=default, exclude_if=_is(default), description=description, **bounds)


def _is(default: Any) -> Callable[[Any], bool]:
    def is_default(value: Any) -> bool:
        return bool(value == default)

    return is_default


def _is_none(value: Any) -> bool:
    return value is None
