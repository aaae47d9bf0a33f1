"""The forms of a primitive field: a value, a choice between values, or a range."""

from collections.abc import Container, Mapping
from functools import partial
from typing import Annotated, Any, TypeVar, Union

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from sweep.space.fields import WORDS, without_none
from sweep.space.forms import Choose, Explain, FloatRange, Form, IntRange
from sweep.space.problems import show

F = TypeVar("F", bound=Form)

_PYTHON_TYPES: dict[str, Any] = {"boolean": bool, "integer": int, "number": (int, float), "string": str}


def leaf_form(title: str, field: FieldInfo, *, choices: bool) -> Any:
    """The forms of a primitive field.

    Args:
        title: begins the names of the forms' classes.
        field: of a candidate model; it may be one that may be absent.
        choices: whether the value may be left open.

    Raises:
        TypeError: the field is not primitive.
    """
    present = without_none(field.annotation)
    annotation: Any = Annotated[present, *field.metadata] if field.metadata else present
    schema = TypeAdapter(annotation).json_schema()
    kind = str(schema.get("type"))
    if kind not in _PYTHON_TYPES:
        raise TypeError(
            f"{title}: {field.annotation} has no search form; use bool, int, float, str or Literal"
        )
    text = _value_text(schema)
    value: Any = Annotated[annotation, BeforeValidator(partial(_exact, kind)), Explain(text)]
    if "const" in schema or not choices:
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
    return Annotated[one_of_forms(forms, _leaf_tag), any_form]


def derived(name: str, base: type[F], doc: str | None, **fields: Any) -> type[F]:
    """A form with more keys; ``fields`` are pairs of annotation and `Field`."""
    return create_model(name, __base__=base, __doc__=doc, **fields)


def one_of_forms(forms: dict[str, Any], tag: Any) -> Any:
    """A union of forms by their tags; ``tag`` finds that of a value."""
    if len(forms) == 1:
        return next(iter(forms.values()))
    tagged = tuple(Annotated[form, Tag(name)] for name, form in forms.items())
    return Annotated[Union[tagged], Discriminator(tag)]  # noqa: UP007  X | Y cannot be made from a tuple


def tag_of(value: object, words: tuple[str, ...], otherwise: str | None) -> str | None:
    """The first of ``words`` that is a key of ``value``, as a tag."""
    return next((f"<{word}>" for word in words if word in keys_of(value)), otherwise)


def keys_of(value: object) -> Container[str]:
    """The keys of a mapping from a file, or of a form that is being written back."""
    if isinstance(value, Form):
        return value.keys()
    return value if isinstance(value, Mapping) else ()


def _leaf_tag(value: object) -> str | None:
    return tag_of(value, WORDS, otherwise=None) if isinstance(value, Mapping | Form) else "<value>"


def _choose(title: str, value: Any, text: str) -> type[Form]:
    values = Annotated[tuple[value, ...], Explain(f"a list of at least one value, each {text}")]
    options = Field(min_length=1, description="One of these values.", json_schema_extra={"uniqueItems": True})
    return derived(f"{title}Choose", Choose, Choose.__doc__, choose=(values, options))


def _int_range(title: str, value: Any, multiple_of: int) -> type[Form]:
    step = Annotated[int, Field(ge=1, multiple_of=multiple_of), BeforeValidator(partial(_exact, "integer"))]
    return derived(
        f"{title}Range",
        IntRange,
        IntRange.__doc__,
        bounds=_bounds(value, "int"),
        step=(step, Field(default=multiple_of, description="Distance of neighbouring values.")),
        log=_log(),
    )


def _float_range(title: str, value: Any) -> type[Form]:
    bounds = _bounds(value, "float")
    return derived(f"{title}Range", FloatRange, FloatRange.__doc__, bounds=bounds, log=_log())


def _bounds(value: Any, word: str) -> Any:
    described = Field(alias=word, description="Lowest and highest value, both included.")
    return Annotated[tuple[value, value], Explain("[low, high]")], described


def _log() -> Any:
    described = Field(default=False, strict=True, description="Uniform in the logarithm.")
    return Annotated[bool, Explain("true or false")], described


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
