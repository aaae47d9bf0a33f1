"""The forms that a value of a space file may take, as pydantic models that `derive` specialises.

Every error that these models raise carries what was found and what is allowed, and stands at its key path.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from sweep.space.fields import alike
from sweep.space.parts import Frozen
from sweep.space.problems import Problem, one_of, show

Location = tuple[int | str, ...]
Count = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1)]

_EXPLAINED = "explained"


@dataclass(frozen=True)
class Explain:
    """Annotation: errors of this value say that ``allowed`` may stand here, unless they know better."""

    allowed: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._validate, handler(source))

    def _validate(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            fail(*(_explained(line, self.allowed) for line in error.errors()))


class Form(BaseModel):
    """Immutable; an unknown or missing key is reported with the keys that are known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            fail(*(_explained(line, cls._allowed(line)) for line in error.errors()))

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys as a file spells them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def _allowed(cls, line: ErrorDetails) -> str:
        name = str(line["loc"][0]) if line["loc"] else ""
        match line["type"]:
            case "extra_forbidden":
                return one_of(cls.keys(), name)
            case "model_type":
                return f"a mapping with {one_of(cls.keys())}"
            case "missing":
                return cls._meaning(name)
            case _:
                return line["msg"].removeprefix("Input should be ").removeprefix("Value error, ")

    @classmethod
    def _meaning(cls, key: str) -> str:
        """What belongs under ``key``, for someone who left it out."""
        field = next(f for name, f in cls.model_fields.items() if key in (name, f.alias))
        explained = (mark.allowed for mark in field.metadata if isinstance(mark, Explain))
        return next(explained, field.description or "a value (the key is required)")


class Group(Form):
    """The keys of one candidate model, each in one of its forms."""

    #: The candidate model whose keys these are.
    candidate_model: ClassVar[type[Frozen] | None] = None
    required: ClassVar[frozenset[str]] = frozenset()
    #: What optional keys that the canonical form leaves out may say without saying more than their absence.
    unsaid: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    #: Defaults of the other optional keys, which the canonical form always states.
    stated: ClassVar[Mapping[str, object]] = {}

    def given(self) -> dict[str, object]:
        """The forms that the file gives, in the candidate model's order, but for those that say nothing."""
        written = self.model_dump(by_alias=True, exclude_unset=True)
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name in self.model_fields_set and written[name] not in self.unsaid.get(name, ())
        }


class Choose(Form):
    """``{choose: [a, b, c]}``: one of the values."""

    choose: tuple[Any, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        repeated = [value for i, value in enumerate(self.choose) if value in self.choose[:i]]
        if repeated:
            fail(Line(("choose",), f"{show(repeated[0])} twice", "different values"))
        return self


class IntRange(Form):
    """``{int: [low, high], step: s, log: true}``: an integer from low to high, both included."""

    bounds: tuple[int, int] = Field(alias="int")
    step: int
    log: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Self:
        low, high = self.bounds
        written = show(self.bounds)
        if low > high:
            fail(Line(("int",), written, "[low, high] with low <= high"))
        if self.log and (low < 1 or self.step != 1):
            fail(Line(("log",), f"true with low {low} and step {self.step}", "low >= 1 and step 1"))
        if (high - low) % self.step:
            nearest = low + (high - low) // self.step * self.step
            fail(
                Line(("step",), f"{self.step}, which misses {high}", f"a high of {nearest}, or another step")
            )
        return self


class FloatRange(Form):
    """``{float: [low, high], log: true}``: a number from low to high, both included."""

    bounds: tuple[float, float] = Field(alias="float")
    log: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Self:
        low, high = self.bounds
        if low > high:
            fail(Line(("float",), show(self.bounds), "[low, high] with low <= high"))
        if self.log and low <= 0:
            fail(Line(("log",), f"true with low {low:g}", "low > 0"))
        return self


class KindOptions(Form):
    """The options of a union, by kind; at least one."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            fail(Line((), "{}", f"at least one of {one_of(self.keys())}"))
        return self


class Branch(Form):
    """``{choose: {a: {...}, b: {...}}, shared: ...}``: one of several mappings; other keys hold for all."""

    choose: Any

    #: The candidate models' fields behind the keys beside `choose`.
    shared_fields: ClassVar[Mapping[str, FieldInfo]] = {}

    @property
    def by_kind(self) -> bool:
        """Whether the options are the kinds of a union, or labels that the file invents."""
        return isinstance(self.choose, KindOptions)

    def options(self) -> dict[str, Group]:
        """The options by label, in canonical order."""
        if isinstance(self.choose, KindOptions):
            fields = type(self.choose).model_fields
            chosen = self.choose.model_fields_set
            return {str(f.alias): getattr(self.choose, name) for name, f in fields.items() if name in chosen}
        return dict(sorted(self.choose.items()))

    def shared(self) -> dict[str, object]:
        """The forms beside ``choose``."""
        names = (name for name in type(self).model_fields if name != "choose")
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        lines = [line for label, option in self.options().items() for line in self._problems(label, option)]
        if lines:
            fail(*lines)
        return self

    def _problems(self, label: str, option: Group) -> list["Line"]:
        here, shared, given = ("choose", label), self.shared(), option.given()
        missing = option.required - given.keys() - shared.keys()
        foreign = {key for key in shared if not self._has(option, key)}
        lines = [Line((*here, key), "nothing", option._meaning(key)) for key in sorted(missing)]
        lines += [
            Line((*here, key), show_form(given[key]), f"{key} either here or beside choose")
            for key in given.keys() & shared.keys()
        ]
        lines += [
            Line((key,), f"a key that {label} does not have", "here, keys of every option") for key in foreign
        ]
        if not self.by_kind and label in type(option).model_fields:
            lines.append(Line(here, "a label that is also a key", "another label"))
        return lines

    def _has(self, option: Group, key: str) -> bool:
        """Whether the option's model has the key that stands beside `choose`, not just one of that name."""
        fields = option.candidate_model.model_fields if option.candidate_model else {}
        return key in fields and alike(fields[key], self.shared_fields[key])


@dataclass(frozen=True)
class Line:
    """One error under way: where (relative to the model that raises it), what was found, what is allowed."""

    loc: Location
    found: str
    allowed: str


def fail(*lines: Line) -> NoReturn:
    """Raise the errors as pydantic's own, so that outer models put their location in front."""
    details: list[InitErrorDetails] = [
        {
            "type": PydanticCustomError(_EXPLAINED, "explained", {"found": x.found, "allowed": x.allowed}),
            "loc": x.loc,
            "input": None,
        }
        for x in lines
    ]
    raise ValidationError.from_exception_data("space", details) from None


def problems(error: ValidationError, file: str) -> list[Problem]:
    """The errors as problems of a file. Union tags, written <like this>, are no part of a key path."""
    lines = (_explained(details, details["msg"]) for details in error.errors())
    return [Problem(file, key_path(line.loc), line.found, line.allowed) for line in lines]


def key_path(loc: Sequence[int | str]) -> str:
    """``("a", "<tag>", "b", 0)`` -> ``a.b.0``."""
    return ".".join(str(part) for part in loc if not str(part).startswith(("<", "[key]")))


def show_form(form: object) -> str:
    """A form as the file spells it."""
    return show(form.model_dump(by_alias=True, exclude_unset=True) if isinstance(form, BaseModel) else form)


def _explained(details: ErrorDetails, allowed: str) -> Line:
    context = details.get("ctx", {})
    if details["type"] == _EXPLAINED:
        return Line(details["loc"], context["found"], context["allowed"])
    return Line(details["loc"], _found(details), allowed)


def _found(details: ErrorDetails) -> str:
    match details["type"]:
        case "missing":
            return "nothing"
        case "extra_forbidden":
            return "an unknown key"
        case _:
            return show(details["input"])
