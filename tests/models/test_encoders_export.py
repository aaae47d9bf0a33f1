"""Every published encoder becomes a TFLite file that computes what the network does."""

from pathlib import Path

import numpy as np
import pytest

from sweep.export import export_network
from sweep.models.network import DepthNetwork
from sweep.space.candidate import Architecture
from sweep.space.encoders import STAGE_STRIDES
from tests.export.export_support import trained_looking

pytestmark = pytest.mark.long


def network(kind: str, **keys: object) -> DepthNetwork:
    return trained_looking(
        Architecture.model_validate(
            {
                "input": {"height": 64, "width": 96, "resize": "bilinear"},
                "encoder": {"kind": kind, "width": 0.5, "stages": len(STAGE_STRIDES[kind]), **keys},
                "decoder": {"kind": "add", "width": 16, "upsampling": "nearest"},
                "output": {"stride": 2, "upsampling": "bilinear"},
            }
        )
    )


def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, 480, 640, 3), np.uint8)


@pytest.mark.parametrize("kind", STAGE_STRIDES)
def test_a_published_encoder_passes_the_exports_own_parity_check(kind: str, tmp_path: Path) -> None:
    export_network(network(kind), tmp_path, noise(), variants=("fp32",))
    assert (tmp_path / "model.tflite").stat().st_size > 500_000


@pytest.mark.parametrize("kind", ["mobilenetv2", "efficientnet_b0", "ghostnet"])
def test_so_does_one_whose_every_key_is_changed(kind: str, tmp_path: Path) -> None:
    changed = network(
        kind,
        stages=4,
        depth=1.5,
        kernel=7,
        expansion=2.5,
        squeeze_excite=True,
        activation="hard_swish",
        stage2={"width": 1.5, "depth": 1, "kernel": 5, "expansion": 1, "activation": "swish"},
        stage3={"squeeze_excite": False, "activation": "relu"},
    )
    export_network(changed, tmp_path, noise(), variants=("fp32",))
    assert (tmp_path / "model.tflite").exists()
