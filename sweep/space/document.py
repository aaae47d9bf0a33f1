"""The whole file: what is searched, on what target, with what budget, by what rules."""

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from sweep.space import duration
from sweep.space.candidate import Architecture, Recipe
from sweep.space.constraint import ConstraintText
from sweep.space.derive import SEARCH, Language, group_of
from sweep.space.domain import Primitive
from sweep.space.exports import Delegate, Export, ExportChoices
from sweep.space.forms import Count, Explain, Form, Group, Line, Share, fail
from sweep.space.samplers import CompositeSampler, Sampler
from sweep.space.score import OwnScore
from sweep.space.teacher import TeacherSection, check_teacher
from sweep.space.warm_start import WarmStart

Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
    Explain("up to 64 letters, digits, _, . and -, a letter or digit first"),
]


def _seconds(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(duration.ALLOWED)
    return duration.parse_duration(value)


def _primitive(value: object) -> object:
    if not isinstance(value, Primitive):
        raise ValueError("a text, a number, true or false")
    return value


Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    Explain(duration.ALLOWED),
    PlainSerializer(duration.format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": duration.PATTERN, "examples": ["90s", "10m", "1h30m"]}),
]
AssignmentForm = dict[
    str,
    Annotated[Any, AfterValidator(_primitive), WithJsonSchema({"type": ["string", "number", "boolean"]})],
]


class Target(Form):
    """What latencies are measured on. Scores of different targets are never compared."""

    labels: dict[str, str] = Field(
        default={}, description="Labels that the device must carry, such as {soc: bcm2711}; {}: any device."
    )
    runtime: str = Field(
        default="", description="Runtime that the device offers, such as tflite-2.14.0; empty: its default."
    )
    threads: Count = Field(default=1, description="Interpreter threads.")
    delegate: Delegate = Field(
        default="xnnpack", description="xnnpack, or none for the interpreter's built-in kernels."
    )


class Budget(Form):
    """When a sweep ends: at the first limit that it meets."""

    trials: Count = Field(description="Candidates to try.")
    max_epochs: Count = Field(description="Epochs of full fidelity.")
    time_s: Duration | None = Field(
        default=None, alias="time", description="Wall-clock limit, such as 10m or 1h30m; absent: none."
    )


Factor = Annotated[int, Field(ge=2, strict=True)]
Factors = Annotated[
    Annotated[Factor, Tag("<one>")] | Annotated[tuple[Factor, ...], Field(min_length=1), Tag("<several>")],
    Discriminator(lambda value: "<several>" if isinstance(value, list | tuple) else "<one>"),
]


class Rungs(Form):
    """The rung policy: the epochs at which trials are compared, and what share of them goes on."""

    epochs: tuple[Count, ...] = Field(
        min_length=1, description="Epochs, ascending; the last one is budget.max_epochs."
    )
    reduction_factor: Factors = Field(
        default=2,
        description="Of this many trials at a rung, the best one goes on to the next; a list: one factor for each "
        "rung from the first on, the last of which serves all further rungs.",
    )
    policy: Literal["asha", "hyperband"] = Field(
        default="asha", description="asha: all start at the first rung; hyperband: some start at a later one."
    )
    extrapolation_risk: Share | None = Field(
        default=None,
        description="Stop a trial between rungs when its chance to beat the best is below this; absent: never.",
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.epochs) != sorted(set(self.epochs)):
            fail(Line(("epochs",), str(list(self.epochs)), "ascending epochs, each once"))
        return self


class Admission(Form):
    """What a latency, measured before training, may decide."""

    rule: Literal["score", "off"] = Field(
        default="off", description="score: stop candidates that cannot beat the best; off: train them all."
    )
    risk: Share = Field(
        default=0.01, description="Accepted chance that a candidate stopped here would have become the best."
    )


class Finalists(Form):
    """The best trials are measured again, in turns on the same devices, until their order is sure."""

    top: Count = Field(default=3, description="Trials that are measured again.")
    rounds: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=4, description="Most measurements of each; 0: none."
    )


class Document(Form):
    """What a search space says beside what is searched: the target, the budget and the rules."""

    name: Name = Field(description="The space's name.")
    description: str = Field(default="", description="What this space is for.")
    target: Target = Field(default=Target(), description="What latencies are measured on.")
    export: Export = Field(
        default_factory=Export,
        description="Files that one training becomes, and how they are run; the best counts: a mapping with "
        "variants, threads, delegates and output_upsampling.",
    )
    budget: Budget = Field(description="When a sweep ends: a mapping with trials, max_epochs and time.")
    rungs: Rungs | None = Field(
        default=None, description="Early stopping by rungs; absent: every trial trains to the last epoch."
    )
    sampler: Sampler = Field(
        default=CompositeSampler(kind="composite"), description="Who proposes candidates."
    )
    constraints: tuple[ConstraintText, ...] = Field(
        default=(), description="What every candidate must keep, such as latency_ms <= 50 or size_mb <= 3."
    )
    admission: Admission = Field(
        default=Admission(),
        description="What the latency before training decides: a mapping with rule and risk.",
    )
    finalists: Finalists = Field(
        default=Finalists(), description="Measuring the best again: a mapping with top and rounds."
    )
    warm_start: tuple[WarmStart, ...] = Field(
        default=(),
        description="Further first trials: entries {preset: NAME}, {sweep: NAME, top: N}, {file: PATH} or "
        "{candidates: PATH}.",
    )
    start_from: tuple[AssignmentForm, ...] = Field(
        default=(),
        description="First trials: parameters by path; what an entry leaves open is drawn by the sampler.",
    )
    teacher: TeacherSection | None = Field(
        default=None,
        description="Who guides recipes with distillation: a mapping with candidate and epochs or checkpoint; "
        "absent: nobody.",
    )
    score: OwnScore | None = Field(
        default=None,
        description="What is maximised: package.module:Class of a score of one's own; absent: the Final Score.",
    )
    keep: Count = Field(default=5, description="Best trials whose checkpoints and exported files are kept.")

    @model_validator(mode="after")
    def _rungs_end_at_full_fidelity(self) -> Self:
        if self.rungs and self.rungs.epochs[-1] != self.budget.max_epochs:
            allowed = f"budget.max_epochs ({self.budget.max_epochs}) as the last rung"
            fail(Line(("rungs", "epochs"), str(list(self.rungs.epochs)), allowed))
        return self

    @property
    def exports(self) -> ExportChoices:
        """Every file and setting to try, with the target's where ``export`` leaves it open."""
        return self.export.choices(self.target.threads, self.target.delegate)

    def with_budget(
        self, trials: int | None = None, max_epochs: int | None = None, time_s: int | None = None
    ) -> Self:
        """This document with other limits; None keeps the file's. Rungs that lie beyond are dropped."""
        changes = {"trials": trials, "max_epochs": max_epochs, "time_s": time_s}
        budget = self.budget.model_copy(update={k: v for k, v in changes.items() if v is not None})
        rungs = self.rungs
        if rungs:
            below = tuple(epoch for epoch in rungs.epochs if epoch < budget.max_epochs)
            rungs = rungs.model_copy(update={"epochs": (*below, budget.max_epochs)})
        return self.model_copy(update={"budget": budget, "rungs": rungs})


class SearchDocument(Document):
    """A search space: candidates to search, the target they are measured on, the budget and the rules.

    ``architecture`` and ``recipe`` hold forms derived from the candidate models; see `document_model`.
    """

    architecture: Group
    recipe: Group

    @model_validator(mode="after")
    def _distillation_has_a_teacher(self) -> Self:
        check_teacher(self.recipe, self.teacher)
        return self


class KeptFile(Form):
    """A candidate file as it was when the sweep began."""

    file: str = Field(min_length=1, description="The file, for messages.")
    text: str = Field(description="Its text.")


class CandidatesDocument(Document):
    """Candidates, each to be tried once, in place of a space to search; see `sweep.space.folder`."""

    candidates: dict[str, KeptFile] = Field(min_length=1, description="Candidate files, by name.")


@cache
def document_model(language: Language = SEARCH) -> type[SearchDocument]:
    """`SearchDocument` with ``architecture`` and ``recipe`` in the forms that the candidate models allow."""
    architecture, recipe = (group_of(part, "whole", language) for part in (Architecture, Recipe))
    return create_model(
        "SearchSpace",
        __base__=SearchDocument,
        __doc__=(SearchDocument.__doc__ or "").partition("\n")[0],
        architecture=(architecture, Field(description="The network: what latency depends on.")),
        recipe=(recipe, Field(description="How the network is trained.")),
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a search-space file, for editors."""
    return editor_schema(document_model())


def editor_schema(document: type[Form]) -> dict[str, Any]:
    """JSON Schema (2020-12) of a file of that form."""
    schema = document.model_json_schema(by_alias=True, schema_generator=_EditorSchema)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}


class _EditorSchema(GenerateJsonSchema):
    """Without ``default: null`` for keys that may be absent: an explicit null is an error."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        absent = "default" in schema and schema["default"] is None
        return self.generate_inner(schema["schema"]) if absent else super().default_schema(schema)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])
