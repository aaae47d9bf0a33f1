"""What the models of a candidate have in common, and parts that come from other packages."""

import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from sweep import importing

Activation = Literal["relu", "relu6", "hard_swish", "swish"]
Upsampling = Literal["nearest", "bilinear"]

#: What a validator sees of a value: values with equal results are alike to it.
Reading = Callable[[Any], Hashable]


def exactly(value: Hashable) -> Hashable:
    """A validator that tells all values apart."""
    return value


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Dotted keys that this model's own validators look at, each with what they see of its value. No other key can
    #: make a combination impossible. A key may be that of a model; then the reading is of the model.
    constrained: ClassVar[Mapping[str, Reading]] = {}
    #: Values of optional keys that say no more than an absent key does.
    neutral: ClassVar[Mapping[str, object]] = {}

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG003  # subclasses look at them
        """Keys that change nothing beside these ``values``, which hold all of ``constrained`` that is given."""
        return frozenset()

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: object) -> object:
        return value + 0.0 if isinstance(value, float) else value  # -0.0 equals 0.0, so it must hash alike


class OwnPart(Frozen):
    """Base of a part from another package. Its ``kind`` is where it is found: ``package.module:Class``.

    A space file names it like any other kind, and every process that meets it imports it from there: nothing is
    registered anywhere. A subclass declares ``kind: Literal["package.module:Class"]`` and its own keys; these are
    searchable like all others. If it has validators that compare keys, it names these keys in ``constrained``.
    """

    kind: str


Own = TypeVar("Own", bound=OwnPart)


def is_own(kind: object) -> bool:
    """Whether a kind is an import path rather than one of this package's own words."""
    return isinstance(kind, str) and ":" in kind


class UnusablePart(ValueError):
    """An import path that leads to no part of the sort in question; ``reason`` says why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.reason = reason


def own_class(kind: str, base: type[Own]) -> type[Own]:
    """The class that an import path names; its module is imported.

    Raises:
        UnusablePart: there is no such module or class, or it is no complete subclass of ``base`` of that kind.
    """
    try:
        found = importing.imported(kind)
    except importing.NotImportable as error:
        raise UnusablePart(kind, error.found) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UnusablePart(kind, f"no subclass of {base.__module__}.{base.__name__}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise UnusablePart(kind, f"a class without {missing} of {base.__module__}.{base.__name__}")
    declared = get_args(found.model_fields["kind"].annotation)
    if declared != (kind,):
        said = f"a class of kind {declared[0]}" if declared else "a class that does not declare its kind"
        raise UnusablePart(kind, f'{said}; it must declare kind: Literal["{kind}"]')
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
