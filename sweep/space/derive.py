"""Derives the pydantic schema of a search space from the candidate models, so that there is one truth.

For every candidate model there is a group with the same keys, each in the forms that its type allows. A new
field of a candidate is searchable without a line here.
"""

from collections.abc import Container, Iterator, Mapping
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from sweep.space.encoders import by_kind
from sweep.space.forms import (
    Branch,
    Choose,
    Explain,
    FloatRange,
    Form,
    Group,
    IntRange,
    KindOptions,
)
from sweep.space.parts import OwnPart
from sweep.space.problems import one_of, show

F = TypeVar("F", bound=Form)
Role = Literal["whole", "labelled", "kind"]

#: Words of the language; no field of a candidate may be named like one of them.
WORDS = ("choose", "int", "float")

_LABEL = r"^[A-Za-z0-9_+-]+$"
_PYTHON_TYPES: dict[str, Any] = {"boolean": bool, "integer": int, "number": (int, float), "string": str}


@cache
def group_of(model: type[BaseModel], role: Role = "whole") -> type[Group]:
    """The search form of one candidate model.

    Args:
        model: a candidate model; its fields are primitives (bool, int, float, str, Literal), models of
            this sort, or unions of them that are discriminated by ``kind``.
        role: ``whole``: a mapping of its own. ``labelled`` and ``kind``: an option under ``choose``, whose
            keys may stand beside ``choose`` instead; the option of a ``kind`` is named by it.

    Raises:
        TypeError: a field has another type, or the name of a word of the language.
    """
    fields = {
        name: field
        for name, field in model.model_fields.items()
        if not (role == "kind" and name == "kind") and not _only_own(field)
    }
    required = frozenset(name for name, field in fields.items() if field.is_required())
    forms: dict[str, Any] = {
        name: (_form(model, name), _key(field, may_be_absent=role != "whole" or name not in required))
        for name, field in fields.items()
    }
    name = model.__name__ + {"whole": "Space", "labelled": "Option", "kind": "KindOption"}[role]
    return _derived(
        name,
        Group,
        model.__doc__,
        required=(ClassVar[frozenset[str]], required),
        defaults=(ClassVar[Mapping[str, object]], _defaults(fields)),
        **forms,
    )


def submodels(field: FieldInfo) -> tuple[type[BaseModel], ...]:
    """The built-in models that a field may hold: one, the members of a union, or none for a primitive."""
    return tuple(model for model in _models(field.annotation) if not issubclass(model, OwnPart))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of an annotation, those of unions within unions among them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _models(member)


def _only_own(field: FieldInfo) -> bool:
    models = tuple(_models(field.annotation))
    return bool(models) and all(issubclass(model, OwnPart) for model in models)


def _defaults(fields: Mapping[str, FieldInfo]) -> dict[str, object]:
    """Default values, models among them as mappings."""
    values = {name: field.default for name, field in fields.items() if not field.is_required()}
    return {name: v.model_dump() if isinstance(v, BaseModel) else v for name, v in values.items()}


def _key(field: FieldInfo, may_be_absent: bool) -> Any:
    """A key without a default of its own: absent keys are known by ``model_fields_set``."""
    default = None if may_be_absent else ...
    return Field(default=default, description=field.description)


@cache  # one class per field, wherever its form appears
def _form(owner: type[BaseModel], name: str) -> Any:
    field = owner.model_fields[name]
    title = owner.__name__ + name.title().replace("_", "")
    if name in WORDS or hasattr(Group, name) or hasattr(Branch, name):
        raise TypeError(f"{owner.__name__}.{name}: the search-space language needs the name {name!r} itself")
    if field.discriminator not in (None, "kind", by_kind):
        raise TypeError(f"{owner.__name__}.{name}: unions must be discriminated by 'kind'")
    if field.discriminator:
        return _union_form(title, submodels(field))
    if submodels(field):
        return _model_form(title, *submodels(field))
    return _leaf_form(title, field)


def _model_form(title: str, model: type[BaseModel]) -> Any:
    """A mapping, or a joint choice between labelled mappings."""
    shared = {
        name: (_form(model, name), _key(f, True))
        for name, f in model.model_fields.items()
        if not _only_own(f)
    }
    labels = Annotated[str, Field(pattern=_LABEL), Explain("a label of letters, digits, _, + and -")]
    options = dict[labels, group_of(model, "labelled")]  # type: ignore[valid-type, misc]  # a type made at run time
    choice = _derived(
        f"{title}Choice",
        Branch,
        "One of several mappings, drawn as a whole; keys beside `choose` hold for every option.",
        choose=(options, Field(min_length=1, description="Options by label, any label.")),
        **shared,
    )
    forms: dict[str, Any] = {"<fields>": group_of(model), "<choose>": choice}
    return _one_of_forms(forms, _model_tag)


def _union_form(title: str, models: tuple[type[BaseModel], ...]) -> Any:
    """A mapping with a fixed kind, or a choice between kinds."""
    by_kind = {_kind_of(model): model for model in models}
    members: dict[str, Any] = {
        f"option_{kind}": (group_of(model, "kind"), Field(default=None, alias=kind))
        for kind, model in by_kind.items()
    }
    options = _derived(f"{title}Options", KindOptions, "Options by kind, with their parameters.", **members)
    choice = _derived(
        f"{title}Choice",
        Branch,
        "One of several kinds; keys beside `choose` hold for every option.",
        choose=(options, Field(description="Options by kind.")),
        **_shared_fields(models),
    )
    forms: dict[str, Any] = {"<choose>": choice}
    forms |= {f"<{kind}>": group_of(model) for kind, model in by_kind.items()}
    kinds = " or ".join(f"{{kind: {kind}, ...}}" for kind in by_kind)
    allowed = f"{kinds}, or {{choose: {{{one_of(by_kind)}}}}} with some of these"
    return Annotated[_one_of_forms(forms, kind_tag), Explain(allowed)]


def _kind_of(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields["kind"].annotation)[0])


def kind_tag(value: object) -> str | None:
    """The tag of the form that a union's value spells."""
    if "choose" in _keys(value):
        return "<choose>"
    if isinstance(value, Mapping):
        return f"<{value.get('kind')}>"
    return f"<{getattr(value, 'kind', None)}>"


def _shared_fields(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """Fields that two or more members have, of the same type and bounds in all of them."""
    shared: dict[str, Any] = {}
    for model in models:
        for name, field in model.model_fields.items():
            twins = [m.model_fields[name] for m in models if name in m.model_fields]
            alike = all((f.annotation, f.metadata) == (field.annotation, field.metadata) for f in twins)
            searchable = name != "kind" and not _only_own(field)
            if searchable and len(twins) > 1 and alike and name not in shared:
                shared[name] = (_form(model, name), _key(field, may_be_absent=True))
    return shared


def _leaf_form(title: str, field: FieldInfo) -> Any:
    """A value, a choice between values, or a range."""
    present = _without_none(field.annotation)
    annotation: Any = Annotated[present, *field.metadata] if field.metadata else present
    schema = TypeAdapter(annotation).json_schema()
    kind = str(schema.get("type"))
    if kind not in _PYTHON_TYPES:
        raise TypeError(
            f"{title}: {field.annotation} has no search form; use bool, int, float, str or Literal"
        )
    text = _value_text(schema)
    value: Any = Annotated[annotation, BeforeValidator(partial(_exact, kind)), Explain(text)]
    if "const" in schema:
        return value
    forms: dict[str, Any] = {"<choose>": _choose(title, value, text)}
    words = [text, "{choose: [...]}"]
    if kind == "integer" and "enum" not in schema:
        forms["<int>"] = _int_range(title, value, schema.get("multipleOf", 1))
        words.append("{int: [low, high]}")
    if kind == "number" and "multipleOf" not in schema and "enum" not in schema:
        forms["<float>"] = _float_range(title, value)
        words.append("{float: [low, high]}")
    any_form = Explain(", or ".join(words))
    forms["<value>"] = Annotated[annotation, BeforeValidator(partial(_exact, kind)), any_form]
    return Annotated[_one_of_forms(forms, _leaf_tag), any_form]


def _without_none(annotation: Any) -> Any:
    """The type of a key that may be absent: a file says nothing rather than null."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    (present,) = (member for member in get_args(annotation) if member is not type(None))
    return present


def _leaf_tag(value: object) -> str | None:
    return _tag(value, WORDS, otherwise=None) if isinstance(value, Mapping | Form) else "<value>"


def _model_tag(value: object) -> str | None:
    return _tag(value, ("choose",), otherwise="<fields>")


def _tag(value: object, words: tuple[str, ...], otherwise: str | None) -> str | None:
    """The first of ``words`` that is a key of ``value``, as a tag."""
    return next((f"<{word}>" for word in words if word in _keys(value)), otherwise)


def _keys(value: object) -> Container[str]:
    """The keys of a mapping from a file, or of a form that is being written back."""
    if isinstance(value, Form):
        return value.keys()
    return value if isinstance(value, Mapping) else ()


def _choose(title: str, value: Any, text: str) -> type[Form]:
    values = Annotated[tuple[value, ...], Explain(f"a list of at least one value, each {text}")]
    options = Field(min_length=1, description="One of these values.", json_schema_extra={"uniqueItems": True})
    return _derived(f"{title}Choose", Choose, Choose.__doc__, choose=(values, options))


def _int_range(title: str, value: Any, multiple_of: int) -> type[Form]:
    step = Annotated[int, Field(ge=1, multiple_of=multiple_of), BeforeValidator(partial(_exact, "integer"))]
    return _derived(
        f"{title}Range",
        IntRange,
        IntRange.__doc__,
        bounds=_bounds(value, "int"),
        step=(step, Field(default=multiple_of, description="Distance of neighbouring values.")),
        log=_log(),
    )


def _float_range(title: str, value: Any) -> type[Form]:
    bounds = _bounds(value, "float")
    return _derived(f"{title}Range", FloatRange, FloatRange.__doc__, bounds=bounds, log=_log())


def _bounds(value: Any, word: str) -> Any:
    described = Field(alias=word, description="Lowest and highest value, both included.")
    return Annotated[tuple[value, value], Explain("[low, high]")], described


def _log() -> Any:
    described = Field(default=False, strict=True, description="Uniform in the logarithm.")
    return Annotated[bool, Explain("true or false")], described


def _derived(name: str, base: type[F], doc: str | None, **fields: Any) -> type[F]:
    """A model with more keys; ``fields`` are pairs of annotation and `Field`."""
    return create_model(name, __base__=base, __doc__=doc, **fields)


def _one_of_forms(forms: dict[str, Any], tag: Any) -> Any:
    if len(forms) == 1:
        return next(iter(forms.values()))
    tagged = tuple(Annotated[form, Tag(name)] for name, form in forms.items())
    return Annotated[Union[tagged], Discriminator(tag)]  # noqa: UP007  X | Y cannot be made from a tuple


def _exact(kind: str, value: object) -> object:
    """Refuse what YAML did not write as ``kind`` (pydantic would take true for 1); read 3.0 as 3, -0.0 as 0.0."""
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    fits = isinstance(value, _PYTHON_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        raise PydanticCustomError("wrong_type", "a value of type {kind}", {"kind": kind})
    return value + 0.0 if isinstance(value, float) else value


def _value_text(schema: Mapping[str, Any]) -> str:
    """A primitive's JSON Schema in words: ``an integer from 32 up to 480``."""
    if "enum" in schema or "const" in schema:
        return " or ".join(map(show, schema.get("enum", [schema.get("const")]))).replace('"', "")
    nouns = {"boolean": "true or false", "integer": "an integer", "number": "a number", "string": "a text"}
    limits = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "up to {}",
        "exclusiveMaximum": "up to but not {}",
        "multipleOf": "in multiples of {}",
    }
    parts = [words.format(f"{schema[key]:g}") for key, words in limits.items() if key in schema]
    return " ".join([nouns[schema["type"]], *parts])
