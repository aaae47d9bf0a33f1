"""What one training becomes: the files it is exported to, and the settings that each of them is run at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sweep.space.candidate import Upsampling
from sweep.space.forms import Count, Explain, Form, Line, fail
from sweep.space.problems import one_of, show

Variant = Literal["fp32", "fp16", "dynamic_int8", "int8", "int8_uint8_input", "uint8"]
"""The names of `sweep.export.variants`, which this package cannot import: a network's export reaches torch."""

Delegate = Literal["none", "xnnpack"]

VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
DELEGATES: Final[tuple[Delegate, ...]] = get_args(Delegate)


@dataclass(frozen=True)
class InferenceSetting:
    """How an interpreter runs a file: none of it costs a training."""

    threads: int
    delegate: Delegate


@dataclass(frozen=True)
class ExportChoices:
    """Every file of a network is run at every setting, and the best of all is the trial's score.

    Attributes:
        variants: the arithmetic of the files, in the order asked; see `sweep.export.variants`.
        settings: how each file is run, in the order asked.
        output_upsampling: the last resize of the files, whatever the network was trained with; empty: its own.
    """

    variants: tuple[Variant, ...] = ("fp32",)
    settings: tuple[InferenceSetting, ...] = (InferenceSetting(1, "xnnpack"),)
    output_upsampling: tuple[Upsampling, ...] = ()

    @property
    def is_plain(self) -> bool:
        """True if nothing but a float32 file at one setting is asked for."""
        return self.variants == ("fp32",) and len(self.settings) == 1 and not self.output_upsampling

    @property
    def combinations(self) -> int:
        """Files times settings."""
        return len(self.variants) * max(1, len(self.output_upsampling)) * len(self.settings)

    @property
    def threads(self) -> tuple[int, ...]:
        """The numbers of threads, in the order asked."""
        return tuple(dict.fromkeys(setting.threads for setting in self.settings))

    @property
    def delegates(self) -> tuple[Delegate, ...]:
        """The delegates, in the order asked."""
        return tuple(dict.fromkeys(setting.delegate for setting in self.settings))

    def to_json(self) -> dict[str, Any]:
        """Plain data for a sweep's identity; `choices_from_json` reads it."""
        return {
            "variants": list(self.variants),
            "threads": list(self.threads),
            "delegates": list(self.delegates),
            "output_upsampling": list(self.output_upsampling),
        }


def choices_from_json(identity: Mapping[str, Any]) -> ExportChoices:
    """What a sweep's identity says of its files: ``export``, or the one setting of its ``target``."""
    target, export = identity.get("target", {}), identity.get("export", {})
    return choices(
        tuple(export.get("variants", ("fp32",))),
        tuple(export.get("threads", (int(target.get("threads", 1)),))),
        tuple(export.get("delegates", (target.get("delegate", "xnnpack"),))),
        tuple(export.get("output_upsampling", ())),
    )


def choices(
    variants: tuple[Variant, ...],
    threads: tuple[int, ...],
    delegates: tuple[Delegate, ...],
    output_upsampling: tuple[Upsampling, ...] = (),
) -> ExportChoices:
    """All combinations of the lists; threads vary more slowly than delegates."""
    settings = tuple(InferenceSetting(*pair) for pair in product(threads, delegates))
    return ExportChoices(variants, settings, output_upsampling)


@dataclass(frozen=True)
class _Listed:
    """Annotation: a list of different values, at least one; ``allowed`` names them."""

    allowed: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minItems": 1, "uniqueItems": True}

    def _validate(self, value: object, handler: Callable[[object], tuple[object, ...]]) -> object:
        if not isinstance(value, list | tuple) or not value:
            fail(Line((), show(value), f"a list of different values, at least one of {self.allowed}"))
        values = handler(value)
        repeated = [found for index, found in enumerate(values) if found in values[:index]]
        if repeated:
            fail(Line((), f"{show(repeated[0])} twice", "different values"))
        return values


@dataclass(frozen=True)
class _Named:
    """Annotation: one of ``names``; a misspelling is told from the name that was meant."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._validate, handler(source))

    def _validate(self, value: object) -> object:
        if value not in self.names:
            fail(Line((), show(value), one_of(self.names, str(value))))
        return value


_Variants = Annotated[tuple[Annotated[Variant, _Named(VARIANTS)], ...], _Listed(one_of(VARIANTS))]
_Threads = Annotated[
    tuple[Annotated[Count, Explain("an integer from 1 up")], ...], _Listed("the integers from 1 up")
]
_Delegates = Annotated[tuple[Annotated[Delegate, _Named(DELEGATES)], ...], _Listed(one_of(DELEGATES))]
_Upsamplings = Annotated[
    tuple[Annotated[Upsampling, _Named(get_args(Upsampling))], ...], _Listed(one_of(get_args(Upsampling)))
]


class Export(Form):
    """The files that each trained network becomes, and how they are run; all combinations are tried."""

    variants: _Variants = Field(
        default=("fp32",),
        description="Arithmetic of the files: fp32, fp16 (weights), dynamic_int8 (weights), int8 (everything), "
        "int8_uint8_input, uint8 (input and output too).",
    )
    threads: _Threads | None = Field(
        default=None, description="Interpreter threads; absent: target.threads alone."
    )
    delegates: _Delegates | None = Field(
        default=None, description="xnnpack, none; absent: target.delegate alone."
    )
    output_upsampling: _Upsamplings | None = Field(
        default=None,
        description="Last resize of the files, whatever the network was trained with; absent: its own.",
    )

    def choices(self, threads: int, delegate: Delegate) -> ExportChoices:
        """What to try; ``threads`` and ``delegate`` are the target's, which hold where nothing is said here."""
        return choices(
            self.variants,
            self.threads or (threads,),
            self.delegates or (delegate,),
            self.output_upsampling or (),
        )
