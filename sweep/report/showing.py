"""What `sweep show` tells of a candidate, for people and as JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.lifecycle.events import Json
from sweep.report.recipe_words import recipe_words
from sweep.report.text import one_line
from sweep.space import Candidate

if TYPE_CHECKING:
    from sweep.models.describe import NetworkDescription, ReceptiveField
    from sweep.space.candidate_file import PublishedRow

_BYTES_PER_MB: Final = 10**6
_FRAME: Final = "480x640"
_FIGURES: Final = ("size_mb", "si_rmse", "rmse", "log10", "rel", "runtime_ms", "final_score")
_WHOLE_IMAGE: Final = "+ and through means the whole inner image"
_UNKNOWN_FIELD: Final = "? not known: a part of another package does what cannot be followed"


@dataclass(frozen=True)
class Showing:
    """A candidate, its network in figures and its untrained file.

    Attributes:
        name, description: as the candidate's file has them; a trial's name is its sweep and number.
        source: where the candidate comes from.
        tflite_bytes: size of the fp32 TFLite file.
        file_parameters: numbers in its weights, with batch normalisation folded.
        published: a report's figures of the system, if the candidate's file has any.
    """

    name: str
    description: str
    source: str
    candidate: Candidate
    network: "NetworkDescription"
    tflite_bytes: int
    file_parameters: int
    published: "PublishedRow | None" = None

    @property
    def tflite_mb(self) -> float:
        """Size of the fp32 TFLite file in 10^6 bytes."""
        return self.tflite_bytes / _BYTES_PER_MB


def showing_json(shown: Showing) -> dict[str, Json]:
    """The same as plain data.

    Keys, which stay as they are; sizes are [height, width] in pixels:

    - ``name``, ``description``, ``source``, ``candidate_hash``, ``architecture_hash``;
    - ``tflite_mb``: the fp32 file, in 10^6 bytes;
    - ``inner_size``, ``output_size``: what the encoder sees, and at what depth is predicted;
    - ``parameters``: ``total``, ``file`` (with batch normalisation folded), ``training`` (with collapsible blocks
      as they are trained), and one for each part: ``encoder``, ``context`` if there is one, ``decoder``, ``head``;
    - ``multiply_adds``: ``total`` and one for each part; ``resizes``, which are not in the total: ``input``,
      ``network`` and ``output``;
    - ``receptive_field``: at the ``encoder``'s and the ``decoder``'s end, each null (not known) or ``height``,
      ``width`` in pixels of the inner image, and ``whole_image``: whether means let all of it take part;
    - ``stages``: in order, each ``name``, ``channels``, ``size``, ``strides`` [down, across], ``parameters``,
      ``multiply_adds`` and ``receptive_field``;
    - ``candidate``: in its canonical form;
    - ``published``: null, or a report's ``team``, ``size_mb``, ``si_rmse``, ``rmse``, ``log10``, ``rel``,
      ``runtime_ms``, ``final_score``.
    """
    network = shown.network
    return {
        "name": shown.name,
        "description": shown.description,
        "source": shown.source,
        "candidate_hash": shown.candidate.hash,
        "architecture_hash": shown.candidate.architecture_hash,
        "tflite_mb": shown.tflite_mb,
        "inner_size": list(network.inner_size),
        "output_size": list(network.output_size),
        "parameters": {
            "total": network.parameters,
            "file": shown.file_parameters,
            "training": network.training_parameters,
            **{part.name: part.parameters for part in network.parts},
        },
        "multiply_adds": {
            "total": network.multiply_adds,
            **{part.name: part.multiply_adds for part in network.parts},
            "resizes": dict(network.resize_multiply_adds),
        },
        "receptive_field": {
            "encoder": _field_json(network.encoder_field),
            "decoder": _field_json(network.decoder_field),
        },
        "stages": [
            {
                "name": stage.name,
                "channels": stage.channels,
                "size": [stage.height, stage.width],
                "strides": list(stage.strides),
                "parameters": stage.parameters,
                "multiply_adds": stage.multiply_adds,
                "receptive_field": _field_json(stage.receptive_field),
            }
            for stage in network.stages
        ],
        "candidate": shown.candidate.model_dump(mode="json"),
        "published": None if shown.published is None else _published(shown.published),
    }


def showing_view(shown: Showing) -> RenderableType:
    """Figures, parts, stages, recipe and what was published, for a terminal of 80 columns or more."""
    parts: list[RenderableType] = [
        Text.assemble((shown.name, "bold"), f"  {shown.source}"),
        *([Text(one_line(shown.description))] if shown.description else []),
        Text(""),
        _pairs(_facts(shown)),
        *_section("Parts", _parts_table(shown)),
        *_section("Stages, in the order of execution", *_stages(shown.network)),
        *_section("Recipe", _pairs(recipe_words(shown.candidate.recipe))),
    ]
    if shown.published is not None:
        team = f", {shown.published.team}" if shown.published.team else ""
        parts += _section(f"Published{team}: the report's data and device", _published_table(shown))
    return Group(*parts)


def _facts(shown: Showing) -> Iterator[tuple[str, str]]:
    network, architecture = shown.network, shown.candidate.architecture
    inner, output = _size(*network.inner_size), _size(*network.output_size)
    resizes = network.resize_multiply_adds
    yield "TFLite file", f"{shown.tflite_mb:.2f} MB in fp32, {shown.file_parameters:,} parameters"
    yield (
        "sizes",
        f"{_FRAME} -> {inner} ({architecture.input.resize}) -> {output} -> {_FRAME} "
        f"({architecture.output.upsampling})",
    )
    yield "multiply-adds", f"{_millions(network.multiply_adds)} M"
    yield (
        "resizes",
        f"{_millions(sum(resizes.values()))} M more: "
        + ", ".join(f"{phase} {_millions(amount)}" for phase, amount in resizes.items()),
    )
    fields = network.encoder_field, network.decoder_field
    yield "receptive field", f"encoder {_field_cell(fields[0])}, decoder {_field_cell(fields[1])}"
    if notes := _field_notes(fields):
        yield "", notes
    yield "candidate", f"{shown.candidate.hash}, architecture {shown.candidate.architecture_hash}"


def _parts_table(shown: Showing) -> Table:
    network = shown.network
    collapses = network.training_parameters != network.parameters
    table = _table("part", "parameters", "share", *(["in training"] if collapses else []), "M MACs", "share")
    rows = [
        (part.name, part.parameters, part.training_parameters, part.multiply_adds) for part in network.parts
    ]
    rows.append(("total", network.parameters, network.training_parameters, network.multiply_adds))
    for name, parameters, training, multiply_adds in rows:
        table.add_row(
            name,
            f"{parameters:,}",
            _share(parameters, network.parameters),
            *([f"{training:,}"] if collapses else []),
            _millions(multiply_adds),
            _share(multiply_adds, network.multiply_adds),
        )
    return table


def _stages(network: "NetworkDescription") -> Iterator[RenderableType]:
    table = _table("stage", "channels", "size", "stride", "parameters", "M MACs")
    table.add_column("field", no_wrap=True)
    for stage in network.stages:
        table.add_row(
            stage.name,
            str(stage.channels),
            _size(stage.height, stage.width),
            _stride(stage.strides),
            f"{stage.parameters:,}",
            _millions(stage.multiply_adds),
            _field_cell(stage.receptive_field),
        )
    yield table
    notes = _field_notes(stage.receptive_field for stage in network.stages)
    if notes:
        yield Text(notes, style="dim")


def _published_table(shown: Showing) -> Table:
    table = _table("", *_FIGURES)
    assert shown.published is not None
    published = _published(shown.published)
    table.add_row("published", *(f"{published[name]:g}" for name in _FIGURES))
    deviation = shown.tflite_mb / shown.published.size_mb - 1
    table.add_row("here", f"{shown.tflite_mb:.2f} ({deviation:+.0%})", *("" for _ in _FIGURES[1:]))
    return table


def _published(row: "PublishedRow") -> dict[str, Json]:
    return {"team": row.team, **{name: getattr(row, name) for name in _FIGURES}}


def _section(title: str, *contents: RenderableType) -> list[RenderableType]:
    return [Text(""), Text(title, style="bold"), *contents]


def _pairs(rows: Iterator[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _field_json(field: "ReceptiveField | None") -> Json:
    return None if field is None else asdict(field)


def _field_cell(field: "ReceptiveField | None") -> str:
    if field is None:
        return "?"
    return _size(field.height, field.width) + ("+" if field.whole_image else "")


def _field_notes(fields: Iterable["ReceptiveField | None"]) -> str:
    """What the marks of `_field_cell` mean, as far as these fields have them."""
    fields = tuple(fields)
    means = any(field is not None and field.whole_image for field in fields)
    notes = (_WHOLE_IMAGE if means else "", _UNKNOWN_FIELD if None in fields else "")
    return "; ".join(filter(None, notes))


def _stride(strides: tuple[float, float]) -> str:
    """One number where both are the same."""
    return " x ".join(dict.fromkeys(f"{stride:.3g}" for stride in strides))


def _size(height: int, width: int) -> str:
    return f"{height}x{width}"


def _millions(amount: int) -> str:
    return f"{amount / 1e6:.2f}"


def _share(amount: int, total: int) -> str:
    return f"{amount / total:.1%}" if total else "-"
