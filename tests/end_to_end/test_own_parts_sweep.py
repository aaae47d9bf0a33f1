"""A sweep over parts of somebody's own package, which Ray's workers import from where the command found it."""

from pathlib import Path

import pytest
import yaml
from sweep_cli import SPACE, sweep

from sweep.lifecycle import TrialState, read_state

pytestmark = pytest.mark.long

PARTS = '''
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from sweep.space.candidate import OwnBlock, OwnDecoder, OwnEncoder, OwnLoss


class Pools(OwnEncoder):
    """Convolutions and poolings, one for each stride."""

    kind: Literal["ownparts.parts:Pools"]
    width: int = Field(ge=4, le=32)

    @property
    def stride(self) -> int:
        return 8

    def build(self) -> nn.Module:
        return PoolsModule(self.width)


class PoolsModule(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = (width, width, width)
        inputs = (3, width, width)
        self.stages = nn.ModuleList(nn.Conv2d(n, width, 3, stride=2, padding=1) for n in inputs)

    def forward(self, inner: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = []
        for stage in self.stages:
            inner = torch.relu(stage(inner))
            features.append(inner)
        return tuple(features)


class Plain(OwnBlock):
    """One convolution."""

    kind: Literal["ownparts.parts:Plain"]

    def build(self, in_channels, out_channels, *, hidden, kernel, stride, squeeze_excite, activation):
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2), nn.ReLU())


class Deepest(OwnDecoder):
    """The deepest features alone, resized."""

    kind: Literal["ownparts.parts:Deepest"]
    width: int = Field(ge=8, le=64, multiple_of=8)

    def build(self, encoder_channels, output_stride) -> nn.Module:
        factor = 2 ** len(encoder_channels) // output_stride
        return DeepestModule(encoder_channels[-1], self.width, factor)


class DeepestModule(nn.Module):
    def __init__(self, inputs: int, width: int, factor: int) -> None:
        super().__init__()
        self.out_channels = width
        self.conv = nn.Conv2d(inputs, width, 1)
        self.factor = factor

    def forward(self, features):
        resized = nn.functional.interpolate(features[-1], scale_factor=self.factor, mode="nearest")
        return torch.relu(self.conv(resized))


class Cubes(OwnLoss):
    """The mean cubed error of the logarithms."""

    kind: Literal["ownparts.parts:Cubes"]

    def __call__(self, prediction, target, valid):
        return (prediction - target)[valid].abs().pow(3).mean()
'''


def test_own_encoder_block_decoder_and_loss_go_the_whole_way(tmp_path: Path, real_images: Path) -> None:
    package = tmp_path / "code" / "ownparts"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(PARTS)
    document = yaml.safe_load(SPACE.read_text())
    stage1, stage2 = (document["architecture"]["encoder"][key] for key in ("stage1", "stage2"))
    document["architecture"]["encoder"] = {
        "choose": {
            "ownparts.parts:Pools": {"width": {"choose": [4, 8]}},
            "mobilenetv3": {
                "width": 0.25,
                "stem_activation": "relu",
                "stage1": {**stage1, "block": {"kind": "ownparts.parts:Plain"}},
                "stage2": stage2,
                "stop": {"kind": "stride_8"},
            },
        }
    }
    document["architecture"]["decoder"] = {"kind": "ownparts.parts:Deepest", "width": 8}
    document["recipe"]["loss"] = {"silog": 1, "own": {"kind": "ownparts.parts:Cubes", "weight": 0.1}}
    document |= {"name": "own", "budget": {"trials": 2, "max_epochs": 1}, "sampler": {"kind": "random"}}
    document["start_from"] = [
        {"architecture.encoder": kind} for kind in ("ownparts.parts:Pools", "mobilenetv3")
    ]
    del document["rungs"]
    space = tmp_path / "spaces" / "own.yaml"
    space.parent.mkdir()
    space.write_text(yaml.safe_dump(document))

    refused = sweep("check", space)
    assert refused.returncode == 2
    assert "ModuleNotFoundError: No module named 'ownparts'" in refused.stderr
    beside = sweep("check", space, cwd=package.parent)
    assert beside.returncode == 0, beside.stderr

    runs = tmp_path / "runs"
    options = ("--data", real_images, "--runs", runs, "--name", "own")
    done = sweep("run", space, "--import-from", package.parent, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    trials = read_state(runs / "own").trials.values()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2, [trial.reason for trial in trials]
    encoders = [trial.candidate["architecture"]["encoder"]["kind"] for trial in trials]
    assert encoders == ["ownparts.parts:Pools", "mobilenetv3"]

    resumed = sweep("resume", "own", "--trials", "3", "--runs", runs)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    states = [trial.state for trial in read_state(runs / "own").trials.values()]
    assert states == [TrialState.COMPLETE] * 3
