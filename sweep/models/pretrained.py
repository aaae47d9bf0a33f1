"""Pretrained encoders: weights of a file, a package or timm, as far as they fit."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from torch import Tensor, nn

from sweep.models.pretrained_fold import folded
from sweep.models.pretrained_layouts import Translation, layout_of, translate
from sweep.models.pretrained_sources import PretrainedError, Weights, read_weights
from sweep.space.encoders import Encoder, PublishedEncoder
from sweep.space.recipe import FromFile, FromPackage, FromTimm, NotPretrained

__all__ = ["Mismatch", "PretrainedError", "PretrainedReport", "load_pretrained"]

_SHOWN = 3


@dataclass(frozen=True)
class Mismatch:
    """A tensor that both have, in different shapes."""

    name: str
    source_shape: tuple[int, ...]
    encoder_shape: tuple[int, ...]

    def __str__(self) -> str:
        theirs, ours = ("x".join(map(str, shape)) for shape in (self.source_shape, self.encoder_shape))
        return f"{self.name} ({theirs}, not {ours})"


@dataclass(frozen=True)
class PretrainedReport:
    """What became of the weights; names are tensors.

    ``loaded``, ``missing`` and ``mismatched`` are the encoder's, and ``unexpected`` are the source's that have no
    place in its stages. ``dropped`` are the source's head and the stages that the encoder ends before.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    dropped: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every tensor of the encoder was loaded, and every one of the source's same stages used."""
        return not (self.missing or self.unexpected or self.mismatched)


def load_pretrained(
    network_encoder: nn.Module,
    encoder_config: Encoder,
    pretrained_config: NotPretrained | FromFile | FromPackage | FromTimm,
) -> PretrainedReport:
    """Load the weights that the recipe names into the encoder, which computes then what their network did.

    A layer, which is a convolution with its batch normalisation, is loaded whole or not at all. An encoder that
    ends earlier than the source fits. With ``kind: none`` nothing is loaded.

    Raises:
        PretrainedError: there are no such weights, no layer fits, or not all do and ``partial`` is false.
    """
    if isinstance(pretrained_config, NotPretrained):
        return PretrainedReport("none", (), (), (), (), ())
    weights = read_weights(encoder_config.kind, pretrained_config)
    ours = network_encoder.state_dict()
    translation = _translated(weights, encoder_config, network_encoder)
    report = _compare(weights.source, ours, translation)
    if not report.loaded or not (report.complete or pretrained_config.partial):
        raise PretrainedError(_refusal(report, encoder_config.kind, ours))
    network_encoder.load_state_dict({name: translation.state[name] for name in report.loaded}, strict=False)
    return report


def _translated(weights: Weights, config: Encoder, encoder: nn.Module) -> Translation:
    """The source's tensors under the encoder's names, computing what they did, without those of further stages."""
    layout = layout_of(weights.state) if isinstance(config, PublishedEncoder) else None
    if layout is None:
        whole = Translation(weights.state, unplaced=(), dropped=())
    else:
        convention = weights.convention or layout.convention(config.kind)
        whole = translate(weights.state, layout, config.kind)
        whole = replace(whole, state=folded(whole.state, convention, encoder))
    cut_off = tuple(name for name in whole.state if _is_beyond(name, encoder))
    kept = {name: value for name, value in whole.state.items() if name not in cut_off}
    return replace(whole, state=kept, dropped=(*whole.dropped, *cut_off))


def _is_beyond(name: str, encoder: nn.Module) -> bool:
    """Whether a tensor belongs to a stage that follows the encoder's last one."""
    stages = getattr(encoder, "stages", None)
    found = re.match(r"stages\.(\d+)\.", name)
    return isinstance(stages, nn.ModuleList) and found is not None and int(found[1]) >= len(stages)


def _compare(source: str, ours: Mapping[str, Tensor], translation: Translation) -> PretrainedReport:
    theirs = translation.state
    missing = tuple(name for name in ours if name not in theirs and not _is_counter(name))
    mismatched = tuple(
        Mismatch(name, tuple(theirs[name].shape), tuple(ours[name].shape))
        for name in ours
        if name in theirs and theirs[name].shape != ours[name].shape
    )
    unfit = layers((*missing, *(mismatch.name for mismatch in mismatched)))
    return PretrainedReport(
        source=source,
        loaded=tuple(name for name in ours if name in theirs and _layer(name) not in unfit),
        missing=missing,
        unexpected=(*translation.unplaced, *(name for name in theirs if name not in ours)),
        mismatched=mismatched,
        dropped=translation.dropped,
    )


def _is_counter(name: str) -> bool:
    """Batch normalisation's count of batches, which old files lack and nothing here reads."""
    return name.endswith("num_batches_tracked")


def _layer(name: str) -> str:
    """A convolution with its normalisation, or a squeeze-and-excite: what is loaded as one."""
    return name.rsplit(".", 2)[0]


def layers(names: Iterable[str]) -> tuple[str, ...]:
    """The layers of these tensors, each once, in order."""
    return tuple(dict.fromkeys(_layer(name) for name in names))


def _refusal(report: PretrainedReport, kind: str, ours: Mapping[str, Tensor]) -> str:
    fitting, there = len(layers(report.loaded)), len(layers(ours))
    differences = (
        ("of another shape", tuple(map(str, report.mismatched))),
        ("not in the weights", layers(report.missing)),
        ("not in the encoder", layers(report.unexpected)),
    )
    listed = "; ".join(f"{what}: {_shortened(names)}" for what, names in differences if names)
    advice = "`partial: true` takes what fits" if fitting else "these are no weights for it"
    return f"{fitting} of the {there} layers of the encoder {kind} match {report.source}; {listed}; {advice}"


def _shortened(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(islice(names, _SHOWN)) + (f" and {more} more" if more > 0 else "")
