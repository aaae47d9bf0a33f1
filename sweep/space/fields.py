"""What the fields of the candidate models hold."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sweep.space.parts import Frozen, OwnPart

#: Words of the search-space language; no field of a candidate may be named like one of them.
WORDS: Final = ("choose", "int", "float")


def submodels(field: FieldInfo) -> tuple[type[Frozen], ...]:
    """The built-in models that a field may hold: one, the members of a union, or none for a primitive."""
    return tuple(model for model in _models(field.annotation) if not issubclass(model, OwnPart))


def own_base(field: FieldInfo) -> type[OwnPart] | None:
    """The base of the parts from other packages that a field may hold, if it may."""
    return next((model for model in _models(field.annotation) if issubclass(model, OwnPart)), None)


def _models(annotation: Any) -> Iterator[type[Frozen]]:
    """The models of an annotation, those of unions within unions among them."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _models(member)


def kind_of(model: type[BaseModel]) -> str:
    """The word or import path by which a file asks for a member of a union."""
    return str(get_args(model.model_fields["kind"].annotation)[0])


def alike(one: FieldInfo, other: FieldInfo) -> bool:
    """Whether two fields have the same type and bounds."""
    return (one.annotation, one.metadata) == (other.annotation, other.metadata)


def defining(model: type[Frozen], name: str) -> type[Frozen]:
    """The furthest base of ``model`` that has the field just as ``model`` has it."""
    field = model.model_fields[name]
    bases = [base for base in model.__mro__ if issubclass(base, Frozen)]
    same = (
        base
        for base in reversed(bases)
        if (there := base.model_fields.get(name))
        and alike(there, field)
        and there.description == field.description
    )
    return next(same, model)


def without_none(annotation: Any) -> Any:
    """The type of a key that may be absent: a file says nothing rather than null."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    present = tuple(member for member in get_args(annotation) if member is not type(None))
    return present[0] if len(present) == 1 else annotation
