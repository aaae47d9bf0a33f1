"""Decoders, context blocks and resized outputs through the export: the files give the network's depth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_support import ASPP, COLLAPSIBLE, DECODERS, LIGHT, architecture, trained_looking
from numpy.typing import NDArray

from sweep.export import ExportedFiles, export_network
from sweep.space.candidate import Architecture

CONCAT = {"kind": "concat", "width": 32, "upsampling": "nearest", "taper": 0.5}
PARITY = 2e-4  # relative; the export itself allows five times that


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """Pictures of smooth waves; in noise, the rounding of a resize's coordinates alone moves depth by 1e-4."""
    rows, columns = (axis[..., np.newaxis] / 60 for axis in np.ogrid[:480, :640])
    phases = np.array([[0, 1, 2], [3, 0.5, 1]])[:, np.newaxis, np.newaxis]
    waves = np.sin(rows + phases) * np.cos(columns * np.array([1, 0.7, 0.4]) - phases)
    return (127 + 120 * waves).astype(np.uint8)


def exported(config: Architecture, directory: Path, frames: NDArray[np.uint8]) -> ExportedFiles:
    return export_network(trained_looking(config), directory, frames, tolerance=PARITY)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
@pytest.mark.parametrize("stride", [1, 4])
def test_every_decoder_is_exported_faithfully(
    decoder: dict[str, Any], upsampling: str, stride: int, tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    config = architecture({**decoder, "upsampling": upsampling}, stride=stride)
    files = exported(config, tmp_path, frames)
    assert files.parity.frames == 2
    assert files.parity.max_relative <= PARITY


@pytest.mark.parametrize("dilation", [1, 3, 12])
def test_aspp_is_exported_faithfully(dilation: int, tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    config = architecture(LIGHT, context={**ASPP, "dilation": dilation}, size=(128, 160))
    files = exported(config, tmp_path, frames)
    assert files.parity.max_relative <= PARITY
    # The means are added by broadcasting: nothing is tiled.
    assert not {"TILE", "BROADCAST_TO", "EXPAND_DIMS", "TRANSPOSE"} & files.operators.keys()


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(48, 64), (50, 70), (33, 200)])
def test_a_resized_output_is_exported_faithfully(
    size: tuple[int, int], upsampling: str, tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    inner = {"kind": "resize_to", "height": size[0], "width": size[1]}
    files = exported(architecture(LIGHT, inner=inner, upsampling=upsampling), tmp_path, frames)
    assert files.parity.max_relative <= PARITY


def test_a_collapsible_decoder_of_depth_one_is_in_the_file_what_a_concat_decoder_is(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    collapsible = exported(architecture({**COLLAPSIBLE, "depth": 1}), tmp_path / "collapsible", frames)
    plain = exported(architecture(CONCAT), tmp_path / "plain", frames)
    assert collapsible.operators == plain.operators
    assert collapsible.parameters == plain.parameters
    assert collapsible.multiply_adds == plain.multiply_adds


def test_the_expansion_is_not_in_the_file(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    narrow = exported(architecture({**COLLAPSIBLE, "expansion": 1}), tmp_path / "narrow", frames)
    wide = exported(architecture({**COLLAPSIBLE, "expansion": 16}), tmp_path / "wide", frames)
    assert wide.parameters == narrow.parameters
    assert wide.operators == narrow.operators
