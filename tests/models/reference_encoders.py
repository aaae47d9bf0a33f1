"""The published encoders a second time: every block's numbers written out, and a forward pass over plain tensors.

Nothing here comes from the package: tables name hidden and squeezed channels of each block, state dictionaries are
named as the projects name them that publish weights, and the arithmetic is torch's functional one in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "swish": F.silu,
    "hard_swish": F.hardswish,
}


@dataclass(frozen=True)
class Block:
    kernel: int
    hidden: int
    out: int
    squeezed: int
    activation: str
    stride: int


@dataclass(frozen=True)
class Table:
    stem: int
    stem_activation: str
    stages: list[list[Block]]

    def placed(self) -> list[tuple[int, int, int, Block]]:
        """(stage, place in it, input channels, block) of every block."""
        rows, channels = [], self.stem
        for stage, blocks in enumerate(self.stages):
            for place, block in enumerate(blocks):
                rows.append((stage, place, channels, block))
                channels = block.out
        return rows


def stage(activation: str, out: int, stride: int, *rows: tuple[int, int, int]) -> list[Block]:
    """Rows are kernel, hidden and squeezed channels."""
    return [
        Block(kernel, hidden, out, squeezed, activation, stride if place == 0 else 1)
        for place, (kernel, hidden, squeezed) in enumerate(rows)
    ]


def efficientnet(activation: str, squeezed: bool, channels: list[int], depths: list[int]) -> Table:
    """Squeezed channels are a quarter of a block's input; hidden ones six times it, but in the first stage."""
    stages, inputs = [], 32
    for index, (out, depth) in enumerate(zip(channels, depths, strict=True)):
        rows = []
        for _ in range(depth):
            expansion = 6 if index else 1
            rows.append(((3, 3, 5, 3, 5, 5, 3)[index], inputs * expansion, inputs // 4 if squeezed else 0))
            inputs = out
        stages.append(stage(activation, out, (1, 2, 2, 2, 1, 2, 1)[index], *rows))
    return Table(32, activation, stages)


CHANNELS = [16, 24, 40, 80, 112, 192, 320]
LARGE = [
    stage("relu", 16, 1, (3, 16, 0)),
    stage("relu", 24, 2, (3, 64, 0), (3, 72, 0)),
    stage("relu", 40, 2, (5, 72, 24), (5, 120, 32), (5, 120, 32)),
    stage("hard_swish", 80, 2, (3, 240, 0), (3, 200, 0), (3, 184, 0), (3, 184, 0)),
    stage("hard_swish", 112, 1, (3, 480, 120), (3, 672, 168)),
    stage("hard_swish", 160, 2, (5, 672, 168), (5, 960, 240), (5, 960, 240)),
]
TABLES = {
    "mobilenetv2": Table(
        32,
        "relu6",
        [
            stage("relu6", 16, 1, (3, 32, 0)),
            stage("relu6", 24, 2, (3, 96, 0), (3, 144, 0)),
            stage("relu6", 32, 2, (3, 144, 0), (3, 192, 0), (3, 192, 0)),
            stage("relu6", 64, 2, (3, 192, 0), (3, 384, 0), (3, 384, 0), (3, 384, 0)),
            stage("relu6", 96, 1, (3, 384, 0), (3, 576, 0), (3, 576, 0)),
            stage("relu6", 160, 2, (3, 576, 0), (3, 960, 0), (3, 960, 0)),
            stage("relu6", 320, 1, (3, 960, 0)),
        ],
    ),
    "mobilenetv3_large": Table(16, "hard_swish", LARGE),
    "mobilenetv3_small": Table(
        16,
        "hard_swish",
        [
            stage("relu", 16, 2, (3, 16, 8)),
            stage("relu", 24, 2, (3, 72, 0), (3, 88, 0)),
            stage("hard_swish", 40, 2, (5, 96, 24), (5, 240, 64), (5, 240, 64)),
            stage("hard_swish", 48, 1, (5, 120, 32), (5, 144, 40)),
            stage("hard_swish", 96, 2, (5, 288, 72), (5, 576, 144), (5, 576, 144)),
        ],
    ),
    "mobilenetv3_minimal": Table(
        16,
        "relu",
        [
            [Block(3, block.hidden, block.out, 0, "relu", block.stride) for block in blocks]
            for blocks in LARGE
        ],
    ),
    "efficientnet_b0": efficientnet("swish", True, CHANNELS, [1, 2, 2, 3, 3, 4, 1]),
    "efficientnet_b1": efficientnet("swish", True, CHANNELS, [2, 3, 3, 4, 4, 5, 2]),
    "efficientnet_lite0": efficientnet("relu6", False, CHANNELS, [1, 2, 2, 3, 3, 4, 1]),
    "efficientnet_lite1": efficientnet("relu6", False, CHANNELS, [1, 3, 3, 4, 4, 5, 1]),
    "efficientnet_lite2": efficientnet(
        "relu6", False, [16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]
    ),
    "ghostnet": Table(
        16,
        "relu",
        [
            stage("relu", 16, 1, (3, 16, 0)),
            stage("relu", 24, 2, (3, 48, 0), (3, 72, 0)),
            stage("relu", 40, 2, (5, 72, 20), (5, 120, 32)),
            stage("relu", 80, 2, (3, 240, 0), (3, 200, 0), (3, 184, 0), (3, 184, 0)),
            stage("relu", 112, 1, (3, 480, 120), (3, 672, 168)),
            stage("relu", 160, 2, (5, 672, 168), (5, 960, 0), (5, 960, 240), (5, 960, 0), (5, 960, 240)),
        ],
    ),
}


@dataclass(frozen=True)
class Names:
    """Where a project keeps the convolution, normalisation or gate of a block; see ``NAMES``."""

    stem: tuple[str, str]
    block: Callable[[int, int, int, Block, int, str], str]
    head: str
    epsilon: float
    statistics: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET


def torchvision_v2(number: int, _s: int, _p: int, block: Block, inputs: int, role: str) -> str:
    expands = block.hidden != inputs
    inside = {
        "expand.conv": "0.0",
        "expand.norm": "0.1",
        "depthwise.conv": "1.0" if expands else "0.0",
        "depthwise.norm": "1.1" if expands else "0.1",
        "project.conv": "2" if expands else "1",
        "project.norm": "3" if expands else "2",
    }[role]
    return f"features.{number + 1}.conv.{inside}"


def torchvision_members(block: Block, inputs: int, role: str) -> str:
    present = [
        *(["expand"] if block.hidden != inputs else []),
        "depthwise",
        *(["gate"] if block.squeezed else []),
        "project",
    ]
    part, kind = role.split(".")
    return (
        f"block.{present.index(part)}." + {"conv": "0", "norm": "1", "reduce": "fc1", "expand": "fc2"}[kind]
    )


def torchvision_v3(number: int, _s: int, _p: int, block: Block, inputs: int, role: str) -> str:
    return f"features.{number + 1}.{torchvision_members(block, inputs, role)}"


def torchvision_efficientnet(_n: int, stage: int, place: int, block: Block, inputs: int, role: str) -> str:
    return f"features.{stage + 1}.{place}.{torchvision_members(block, inputs, role)}"


def timm(_n: int, stage: int, place: int, _b: Block, _i: int, role: str, *, depthwise_first: bool) -> str:
    expanding = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
    separable = ["", "", *["conv_dw", "bn1", "conv_pw", "bn2"]]
    roles = ["expand.conv", "expand.norm", "depthwise.conv", "depthwise.norm", "project.conv", "project.norm"]
    gates = {"gate.reduce": "se.conv_reduce", "gate.expand": "se.conv_expand"}
    inside = dict(zip(roles, separable if depthwise_first else expanding, strict=True)) | gates
    return f"blocks.{stage}.{place}.{inside[role]}"


def timm_first_stage_is_separable(
    n: int, stage: int, place: int, block: Block, inputs: int, role: str
) -> str:
    return timm(n, stage, place, block, inputs, role, depthwise_first=stage == 0)


def efficientnet_pytorch(number: int, _s: int, _p: int, _b: Block, _i: int, role: str) -> str:
    inside = {
        "expand.conv": "_expand_conv",
        "expand.norm": "_bn0",
        "depthwise.conv": "_depthwise_conv",
        "depthwise.norm": "_bn1",
        "gate.reduce": "_se_reduce",
        "gate.expand": "_se_expand",
        "project.conv": "_project_conv",
        "project.norm": "_bn2",
    }[role]
    return f"_blocks.{number}.{inside}"


#: GhostNet's authors give every change of stride and of squeeze-and-excite a stage of its own.
GHOST_STAGES = [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), *((6, place) for place in range(5)), (7, 0)]
GHOST_STAGES += [(8, place) for place in range(4)]


def ghost(number: int, _s: int, _p: int, _b: Block, _i: int, role: str) -> str:
    inside = {
        "expand.primary.conv": "ghost1.primary_conv.0",
        "expand.primary.norm": "ghost1.primary_conv.1",
        "expand.cheap.conv": "ghost1.cheap_operation.0",
        "expand.cheap.norm": "ghost1.cheap_operation.1",
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn_dw",
        "gate.reduce": "se.conv_reduce",
        "gate.expand": "se.conv_expand",
        "project.primary.conv": "ghost2.primary_conv.0",
        "project.primary.norm": "ghost2.primary_conv.1",
        "project.cheap.conv": "ghost2.cheap_operation.0",
        "project.cheap.norm": "ghost2.cheap_operation.1",
        "shortcut.depthwise.conv": "shortcut.0",
        "shortcut.depthwise.norm": "shortcut.1",
        "shortcut.project.conv": "shortcut.2",
        "shortcut.project.norm": "shortcut.3",
    }[role]
    outer, place = GHOST_STAGES[number]
    return f"blocks.{outer}.{place}.{inside}"


TORCHVISION_STEM, TIMM_STEM = ("features.0.0", "features.0.1"), ("conv_stem", "bn1")
NAMES = {
    "torchvision_v2": Names(TORCHVISION_STEM, torchvision_v2, "features.18.0", 1e-5),
    "torchvision_v3": Names(TORCHVISION_STEM, torchvision_v3, "features.16.0", 1e-3),
    "torchvision_efficientnet": Names(TORCHVISION_STEM, torchvision_efficientnet, "features.8.0", 1e-5),
    "efficientnet_pytorch": Names(("_conv_stem", "_bn0"), efficientnet_pytorch, "_conv_head", 1e-3),
    "efficientnet_lite": Names(("_conv_stem", "_bn0"), efficientnet_pytorch, "_conv_head", 1e-3, LITE),
    "timm": Names(TIMM_STEM, timm_first_stage_is_separable, "conv_head", 1e-5),
    "timm_v3": Names(TIMM_STEM, timm_first_stage_is_separable, "blocks.6.0.conv", 1e-5),
    "ghost": Names(TIMM_STEM, ghost, "blocks.9.0.conv", 1e-5),
}


@dataclass
class Reference:
    """A published network on tensors named as a project names them.

    Absent tensors are drawn, and normalised to what comes in, when they are first needed: run it once on an image
    and ``state`` is that of a network in good health. ``same`` pads strides of 2 as TensorFlow does, else alike on
    both sides; ``black`` pads the image with black instead of with its mean.
    """

    kind: str
    names: Names
    state: State = field(default_factory=dict)
    same: bool = True
    black: bool = True

    def features(self, image: Tensor) -> dict[int, Tensor]:
        """N3HW RGB 0..255 in float64 to the last features of every stride."""
        table = TABLES[self.kind]
        mean, std = (
            torch.tensor(values, dtype=torch.float64)[:, None, None] for values in self.names.statistics
        )
        border = -mean / std if self.black else torch.zeros(3, 1, 1, dtype=torch.float64)
        centred = (image / 255 - mean) / std - border
        stem, norm = self.names.stem
        # What is padded with zeros here and then moved by the border is padded with the border.
        shifted = F.pad(centred, self.padding(3, 2)) + border
        path = self.normed(self.conv(shifted, stem, table.stem, 3, stride=2, padded=True), norm)
        path = ACTIVATIONS[table.stem_activation](path)
        features, stride = {2: path}, 2
        for number, (index, place, inputs, block) in enumerate(table.placed()):

            def at(role: str, number=number, index=index, place=place, block=block, inputs=inputs) -> str:
                return self.names.block(number, index, place, block, inputs, role)

            run = self.ghost_bottleneck if self.kind == "ghostnet" else self.inverted_residual
            path, stride = run(path, block, at), stride * block.stride
            features[stride] = path
        self.conv(path, self.names.head, 8, 1)
        return features

    def padding(self, kernel: int, stride: int) -> tuple[int, int, int, int]:
        before, after = (
            ((kernel - stride) // 2, (kernel - stride + 1) // 2) if self.same else (kernel // 2,) * 2
        )
        return (before, after, before, after)

    def conv(
        self,
        x: Tensor,
        name: str,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        biased: bool = False,
        padded: bool = False,
    ) -> Tensor:
        generator = torch.Generator().manual_seed(len(self.state))
        fan_in = x.shape[1] // groups * kernel**2
        if f"{name}.weight" not in self.state:
            shape = (out, x.shape[1] // groups, kernel, kernel)
            self.state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
            if biased:
                self.state[f"{name}.bias"] = torch.randn(out, generator=generator)
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        if not padded:
            x = F.pad(x, self.padding(kernel, stride))
        return F.conv2d(x, weight.double(), None if bias is None else bias.double(), stride, groups=groups)

    def normed(self, x: Tensor, name: str) -> Tensor:
        if f"{name}.weight" not in self.state:
            generator = torch.Generator().manual_seed(len(self.state))
            channels = x.shape[1]
            self.state |= {
                f"{name}.weight": torch.rand(channels, generator=generator) + 0.5,
                f"{name}.bias": torch.randn(channels, generator=generator) * 0.3,
                f"{name}.running_mean": x.mean((0, 2, 3)).float(),
                f"{name}.running_var": x.var((0, 2, 3)).float(),
                f"{name}.num_batches_tracked": torch.tensor(1000),
            }
        weight, bias, mean, variance = (
            self.state[f"{name}.{part}"].double()[:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (variance + self.names.epsilon).sqrt() * weight + bias

    def gated(self, x: Tensor, squeezed: int, at: Callable[[str], str]) -> Tensor:
        swish = self.kind.startswith("efficientnet")
        inside = self.conv(x.mean((2, 3), keepdim=True), at("gate.reduce"), squeezed, 1, biased=True)
        inside = F.silu(inside) if swish else F.relu(inside)
        gate = self.conv(inside, at("gate.expand"), x.shape[1], 1, biased=True)
        return x * (torch.sigmoid(gate) if swish else F.hardsigmoid(gate))

    def inverted_residual(self, x: Tensor, block: Block, at: Callable[[str], str]) -> Tensor:
        activation, path = ACTIVATIONS[block.activation], x
        if block.hidden != x.shape[1]:
            path = self.conv(path, at("expand.conv"), block.hidden, 1)
            path = activation(self.normed(path, at("expand.norm")))
        path = self.depthwise(path, block.kernel, block.stride, at("depthwise.conv"))
        path = activation(self.normed(path, at("depthwise.norm")))
        if block.squeezed:
            path = self.gated(path, block.squeezed, at)
        path = self.normed(self.conv(path, at("project.conv"), block.out, 1), at("project.norm"))
        return x + path if block.stride == 1 and x.shape[1] == block.out else path

    def depthwise(self, x: Tensor, kernel: int, stride: int, name: str) -> Tensor:
        return self.conv(x, name, x.shape[1], kernel, stride=stride, groups=x.shape[1])

    def ghost_module(
        self, x: Tensor, out: int, at: Callable[[str], str], role: str, activation: Callable[[Tensor], Tensor]
    ) -> Tensor:
        first = self.normed(self.conv(x, at(f"{role}.primary.conv"), out // 2, 1), at(f"{role}.primary.norm"))
        first = activation(first)
        second = self.normed(self.depthwise(first, 3, 1, at(f"{role}.cheap.conv")), at(f"{role}.cheap.norm"))
        return torch.cat((first, activation(second)), 1)

    def ghost_bottleneck(self, x: Tensor, block: Block, at: Callable[[str], str]) -> Tensor:
        path = self.ghost_module(x, block.hidden, at, "expand", F.relu)
        if block.stride == 2:
            path = self.depthwise(path, block.kernel, 2, at("depthwise.conv"))
            path = self.normed(path, at("depthwise.norm"))
        if block.squeezed:
            path = self.gated(path, block.squeezed, at)
        path = self.ghost_module(path, block.out, at, "project", lambda features: features)
        if block.stride == 1 and x.shape[1] == block.out:
            return x + path
        beside = self.depthwise(x, block.kernel, block.stride, at("shortcut.depthwise.conv"))
        beside = self.normed(beside, at("shortcut.depthwise.norm"))
        beside = self.conv(beside, at("shortcut.project.conv"), block.out, 1)
        return path + self.normed(beside, at("shortcut.project.norm"))
