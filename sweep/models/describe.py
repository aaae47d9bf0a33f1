"""What a network is, in figures: parameters, multiply-adds, shapes and receptive fields.

The figures are those of the network as it is exported, at a batch of one: collapsible blocks are single
convolutions. Only batch normalisation is still there, which an exported file has folded into the convolutions.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from sweep.models.collapse import collapsed
from sweep.models.describe_reach import Sight
from sweep.models.describe_trace import Trace
from sweep.models.network import FRAME_SIZE, DepthNetwork

PARTS: Final = ("encoder", "context", "decoder", "head")
PHASES: Final = ("input", "network", "output")
_OPENED: Final = ("encoder", "decoder")


@dataclass(frozen=True)
class ReceptiveField:
    """What a position of a feature map can depend on.

    Attributes:
        height, width: rows and columns of the inner image, through convolutions and resizes, of the position that
            sees most; the theoretical field, so it can be larger than the image.
        whole_image: whether means over the image, as in squeeze-and-excite, let it depend on all of it besides.
    """

    height: int
    width: int
    whole_image: bool


@dataclass(frozen=True)
class Part:
    """The encoder, the context block, the decoder or the head.

    Attributes:
        parameters: as exported, batch normalisation's scales and shifts included.
        training_parameters: as trained; more only where blocks collapse.
        multiply_adds: of convolutions and matrix products, for one frame.
    """

    name: str
    parameters: int
    training_parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Stage:
    """One step on the way from the inner image to depth.

    Attributes:
        name: of the module, such as encoder.stages.0.
        channels, height, width: of what it puts out.
        strides: down and across, relative to the inner image.
        parameters, multiply_adds: as of `Part`.
        receptive_field: of what it puts out; None if a part from another package does what cannot be followed.
    """

    name: str
    channels: int
    height: int
    width: int
    strides: tuple[float, float]
    parameters: int
    multiply_adds: int
    receptive_field: ReceptiveField | None


@dataclass(frozen=True)
class NetworkDescription:
    """A network in figures.

    Attributes:
        inner_size, output_size: (height, width) that the encoder sees, and at which depth is predicted.
        parts: in the order of `PARTS`; the context block only if there is one.
        stages: in the order of execution.
        resize_multiply_adds: of bilinear resizes, four for each number put out: of the frame to the inner image
            (``input``), within the network (``network``) and of the depth to the frame (``output``). Nearest
            neighbour has none. They are not among the parts'.
        encoder_field, decoder_field: at the deepest features, and at what the head reads.
    """

    inner_size: tuple[int, int]
    output_size: tuple[int, int]
    parts: tuple[Part, ...]
    stages: tuple[Stage, ...]
    resize_multiply_adds: Mapping[str, int]
    encoder_field: ReceptiveField | None
    decoder_field: ReceptiveField | None

    @property
    def parameters(self) -> int:
        """Of all parts, as exported."""
        return sum(part.parameters for part in self.parts)

    @property
    def training_parameters(self) -> int:
        """Of all parts, as trained."""
        return sum(part.training_parameters for part in self.parts)

    @property
    def multiply_adds(self) -> int:
        """Of all parts; those of the resizes are apart."""
        return sum(part.multiply_adds for part in self.parts)


def describe_network(network: DepthNetwork) -> NetworkDescription:
    """The network's figures; it runs once, on a black frame, and stays as it was.

    Raises:
        TooWide: a receptive field reaches farther than what is followed.
    """
    exported = collapsed(network).cpu().float().eval()
    outputs, resizes, multiply_adds = _observed(exported)
    modules = dict(exported.named_modules())
    parts = tuple(
        Part(
            name,
            parameters=_parameters(modules[name]),
            training_parameters=_parameters(network.get_submodule(name)),
            multiply_adds=multiply_adds[name],
        )
        for name in PARTS
        if name != "context" or _parameters(modules[name])
    )
    inner = exported.inner_size
    stages = tuple(
        Stage(
            name,
            *output.shape,
            strides=(inner[0] / output.shape[1], inner[1] / output.shape[2]),
            parameters=_parameters(modules[name]),
            multiply_adds=multiply_adds[name],
            receptive_field=output.field,
        )
        for name, output in outputs.items()
        if name in set(_stage_names(exported))
    )
    return NetworkDescription(
        inner_size=inner,
        output_size=exported.output_size,
        parts=parts,
        stages=stages,
        resize_multiply_adds={phase: resizes[phase] for phase in PHASES},
        encoder_field=outputs["encoder"].field,
        decoder_field=outputs["head"].field,
    )


@dataclass(frozen=True)
class _Output:
    """A module's output, or the last one of several: (channels, height, width), and what it depends on."""

    shape: tuple[int, int, int]
    field: ReceptiveField | None


def _observed(network: DepthNetwork) -> tuple[dict[str, _Output], Counter[str], Counter[str]]:
    """Each module's output in the order of execution; multiply-adds of resizes by phase, of modules by name."""
    trace, outputs = Trace(PHASES[0]), dict[str, _Output]()

    def enter(_network: nn.Module, inputs: tuple[Tensor]) -> None:
        trace.phase = PHASES[1]
        trace.follow(inputs[0])

    def leave(*_: object) -> None:
        trace.phase = PHASES[2]

    def see(name: str, output: Tensor) -> None:
        if output.ndim == 4:
            _, channels, height, width = output.shape
            outputs[name] = _Output((channels, height, width), _field(trace.sight(output), height, width))

    hooks = network.register_forward_pre_hook(enter), network.register_forward_hook(leave)
    try:
        with torch.no_grad(), trace.naming(network, see), trace:
            network.depth_mm(torch.zeros(1, 3, *FRAME_SIZE))
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, trace.resize_multiply_adds, trace.multiply_adds


def _field(sight: Sight | None, height: int, width: int) -> ReceptiveField | None:
    if sight is None or sight.local is None:
        return None
    rows, columns = sight.local
    return ReceptiveField(rows.extent(height), columns.extent(width), sight.whole)


def _stage_names(network: DepthNetwork) -> Iterator[str]:
    """The encoder's and the decoder's own modules, lists of them one by one; context and head each as one."""
    for part in PARTS:
        children = list(network.get_submodule(part).named_children()) if part in _OPENED else []
        for name, child in children:
            if isinstance(child, nn.ModuleList):
                yield from (f"{part}.{name}.{i}" for i, inner in enumerate(child) if _parameters(inner))
            elif _parameters(child):
                yield f"{part}.{name}"
        if not children and _parameters(network.get_submodule(part)):
            yield part


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
