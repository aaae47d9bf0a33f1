"""How other projects name the tensors of the published encoders, and what they feed them with.

A layout is told by a tensor that only it has. Its modules are translated to this package's names; what belongs to
no block is the head, which depth networks do not have.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from sweep.space.published import PUBLISHED, PublishedNetwork


@dataclass(frozen=True)
class Convention:
    """What weights were trained with: RGB as (x / 255 - mean) / std, and batch normalisation's epsilon."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    epsilon: float


@dataclass(frozen=True)
class Layout:
    """One project's names.

    ``marker`` is a tensor that this layout alone has. ``stem`` maps its modules to ours. ``block`` matches the
    modules of blocks: its groups are the block's numbers, then the module inside the block. ``parts`` maps these,
    all of them given, to ours; none for a block that belongs to the head. ``counts_stages`` says that the numbers
    are a stage and a place in it; else they order the blocks. ``convention`` is that of weights for a kind of
    encoder.
    """

    marker: str
    stem: Mapping[str, str]
    block: re.Pattern[str]
    parts: Callable[[Collection[str]], Mapping[str, str]]
    counts_stages: bool
    convention: Callable[[str], Convention]


@dataclass(frozen=True)
class Translation:
    """Tensors under this package's names, names without a place in the network's blocks, and names not needed."""

    state: Mapping[str, Tensor]
    unplaced: tuple[str, ...]
    dropped: tuple[str, ...]


def layout_of(state: Mapping[str, Tensor]) -> Layout | None:
    """The layout that these tensors are named after, or None."""
    return next((layout for layout in LAYOUTS if layout.marker in state), None)


def translate(state: Mapping[str, Tensor], layout: Layout, kind: str) -> Translation:
    """A state dictionary of that layout under this package's names, for the published encoder ``kind``."""
    blocks = _blocks(layout, {_module(name) for name in state})
    places = _places(layout, sorted(blocks), PUBLISHED[kind])
    in_blocks = {module for parts in blocks.values() for module in parts.values()}
    ours = dict(layout.stem)
    for number, (stage, place) in places.items():
        inside = layout.parts(blocks[number])
        ours |= {
            module: f"stages.{stage}.{place}.{inside[part]}"
            for part, module in blocks[number].items()
            if part in inside
        }
    translated = {
        f"{ours[_module(name)]}.{name.rpartition('.')[2]}": value
        for name, value in state.items()
        if _module(name) in ours
    }
    others = [name for name in state if _module(name) not in ours]
    return Translation(
        translated,
        unplaced=tuple(name for name in others if _module(name) in in_blocks),
        dropped=tuple(name for name in others if _module(name) not in in_blocks),
    )


def _module(name: str) -> str:
    return name.rpartition(".")[0]


Number = tuple[int, ...]


def _blocks(layout: Layout, modules: Collection[str]) -> dict[Number, dict[str, str]]:
    """The modules of every block by their names inside it, blocks by their numbers; without the head's blocks."""
    blocks: dict[Number, dict[str, str]] = {}
    for module in modules:
        found = layout.block.fullmatch(module)
        if found:
            *number, part = found.groups()
            blocks.setdefault(tuple(int(digits) for digits in number), {})[part] = module
    return {number: parts for number, parts in blocks.items() if layout.parts(parts)}


def _places(
    layout: Layout, numbers: Collection[Number], network: PublishedNetwork
) -> dict[Number, tuple[int, int]]:
    """Stage and place in it, both from 0, of every block."""
    if layout.counts_stages:
        first = min(numbers)[0]
        return {number: (number[0] - first, number[1]) for number in numbers}
    places = (
        (stage, block)
        for stage in range(len(network.stages))
        for block in range(network.published_depth(stage))
    )
    return dict(zip(numbers, places, strict=False))


def _timm_parts(parts: Collection[str]) -> Mapping[str, str]:
    if "conv_dw" not in parts:
        return {}
    gate = {"se.conv_reduce": "squeeze_excite.reduce", "se.conv_expand": "squeeze_excite.expand"}
    if "conv_pwl" in parts:
        return gate | _named("conv_pw bn1 conv_dw bn2 conv_pwl bn3", "expand", "depthwise", "project")
    return gate | _named("conv_dw bn1 conv_pw bn2", "depthwise", "project")


def _ghost_parts(parts: Collection[str]) -> Mapping[str, str]:
    if "ghost1.primary_conv.0" not in parts:
        return {}
    gate = {"se.conv_reduce": "squeeze_excite.reduce", "se.conv_expand": "squeeze_excite.expand"}
    theirs = "{0}.primary_conv.0 {0}.primary_conv.1 {0}.cheap_operation.0 {0}.cheap_operation.1"
    return (
        gate
        | _named(theirs.format("ghost1"), "expand.primary", "expand.cheap")
        | _named("conv_dw bn_dw", "depthwise")
        | _named(theirs.format("ghost2"), "project.primary", "project.cheap")
        | _named("shortcut.0 shortcut.1 shortcut.2 shortcut.3", "shortcut.0", "shortcut.1")
    )


def _efficientnet_pytorch_parts(_: Collection[str]) -> Mapping[str, str]:
    return {"_se_reduce": "squeeze_excite.reduce", "_se_expand": "squeeze_excite.expand"} | _named(
        "_expand_conv _bn0 _depthwise_conv _bn1 _project_conv _bn2", "expand", "depthwise", "project"
    )


def _torchvision_v2_parts(parts: Collection[str]) -> Mapping[str, str]:
    if "3" in parts:
        return _named("0.0 0.1 1.0 1.1 2 3", "expand", "depthwise", "project")
    return _named("0.0 0.1 1 2", "depthwise", "project")


def _torchvision_parts(parts: Collection[str]) -> Mapping[str, str]:
    """Members are numbered through; a block need not have the first, which expands, or the squeeze-and-excite."""
    gates = {part.partition(".")[0] for part in parts if part.endswith("fc1")}
    convolutions = sorted({part.partition(".")[0] for part in parts} - gates)
    ours = ("expand", "depthwise", "project")[-len(convolutions) :]
    theirs = " ".join(f"{number}.0 {number}.1" for number in convolutions)
    gate = {f"{number}.fc1": "squeeze_excite.reduce" for number in gates}
    return gate | {f"{number}.fc2": "squeeze_excite.expand" for number in gates} | _named(theirs, *ours)


def _named(theirs: str, *ours: str) -> dict[str, str]:
    """Their modules, convolution and normalisation in turn, to the two of each of our layers."""
    return dict(
        zip(theirs.split(), (f"{layer}.{part}" for layer in ours for part in ("conv", "norm")), strict=True)
    )


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def imagenet(epsilon: float) -> Callable[[str], Convention]:
    """The statistics of ImageNet's pixels, which most models are trained with, whatever their kind."""
    return lambda _: Convention(IMAGENET_MEAN, IMAGENET_STD, epsilon)


def _of_efficientnet_pytorch(kind: str) -> Convention:
    if kind.startswith("efficientnet_lite"):
        return Convention((127 / 255,) * 3, (128 / 255,) * 3, 1e-3)
    return Convention(IMAGENET_MEAN, IMAGENET_STD, 1e-3)


_TORCHVISION_STEM = {"features.0.0": "stem.conv", "features.0.1": "stem.norm"}
_TIMM_STEM = {"conv_stem": "stem.conv", "bn1": "stem.norm"}

LAYOUTS = (
    Layout(  # torchvision's MobileNetV2
        "features.1.conv.0.0.weight",
        _TORCHVISION_STEM,
        re.compile(r"features\.(\d+)\.conv\.(.+)"),
        _torchvision_v2_parts,
        counts_stages=False,
        convention=imagenet(1e-5),
    ),
    Layout(  # torchvision's MobileNetV3
        "features.1.block.0.0.weight",
        _TORCHVISION_STEM,
        re.compile(r"features\.(\d+)\.block\.(.+)"),
        _torchvision_parts,
        counts_stages=False,
        convention=imagenet(1e-3),
    ),
    Layout(  # torchvision's EfficientNet
        "features.1.0.block.0.0.weight",
        _TORCHVISION_STEM,
        re.compile(r"features\.(\d+)\.(\d+)\.block\.(.+)"),
        _torchvision_parts,
        counts_stages=True,
        convention=imagenet(1e-5),
    ),
    Layout(  # efficientnet_pytorch, efficientnet_lite_pytorch
        "_blocks.0._depthwise_conv.weight",
        {"_conv_stem": "stem.conv", "_bn0": "stem.norm"},
        re.compile(r"_blocks\.(\d+)\.(.+)"),
        _efficientnet_pytorch_parts,
        counts_stages=False,
        convention=_of_efficientnet_pytorch,
    ),
    Layout(  # GhostNet's authors, timm
        "blocks.0.0.ghost1.primary_conv.0.weight",
        _TIMM_STEM,
        re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)"),
        _ghost_parts,
        counts_stages=False,
        convention=imagenet(1e-5),
    ),
    Layout(  # timm's MobileNets and EfficientNets
        "blocks.0.0.conv_dw.weight",
        _TIMM_STEM,
        re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)"),
        _timm_parts,
        counts_stages=True,
        convention=imagenet(1e-5),
    ),
)
