"""What TensorFlow's own converter writes is described too, and its variants agree where they must."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.export.inspection import Inspection, examine
from sweep.export.reference import QUIET

pytestmark = pytest.mark.long

PARAMETERS = 9 * 3 * 16 + 16 + 9 * 16 + 16 + 9 * 16 * 16 + 16 + 9 * 16 + 16 + 16 + 1
MULTIPLY_ADDS = 32 * 32 * 16 * (27 + 9 + 144 + 9) + 64 * 64 * 16


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inspection]:
    """Files by what is special about them; two residual blocks of 16 channels at 32x32, unless said otherwise."""
    folder = tmp_path_factory.mktemp("converted")
    script = Path(__file__).parents[1] / "device_farm" / "tensorflow_files_child.py"
    child = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return {path.stem: examine(path) for path in folder.glob("*.tflite")}


def kinds(found: Inspection) -> set[str]:
    return {remark.kind for remark in found.remarks}


@pytest.mark.parametrize(
    ("name", "shared"),
    # Before their biases have a scale, four of them are equal, and the converter stores them once.
    [("float", 48), ("float16", 48), ("dynamic", 48), ("buffers_behind", 48), ("int8", 0)],
)
def test_all_variants_of_a_network_have_its_multiply_adds_and_its_weights(
    converted: dict[str, Inspection], name: str, shared: int
) -> None:
    model = converted[name].model
    assert model.multiply_adds == sum(model.operator_multiply_adds) == MULTIPLY_ADDS
    assert model.parameters == PARAMETERS - shared


def test_types_of_weights_tell_the_variants_apart(converted: dict[str, Inspection]) -> None:
    types = {name: set(found.model.parameters_by_type) for name, found in converted.items()}
    assert types["float"] == types["buffers_behind"] == {"float32"}
    assert types["float16"] == {"float16"}
    assert types["dynamic"] == {"float32", "int8"}
    assert types["int8"] == {"int8", "int32"}


def test_weights_behind_the_flatbuffer_are_read_like_others(converted: dict[str, Inspection]) -> None:
    inside, behind = converted["float"].model, converted["buffers_behind"].model
    assert behind.constant_bytes == inside.constant_bytes
    contents = [
        sorted(tensor.data.tobytes() for tensor in model.tensors if tensor.data is not None)
        for model in (inside, behind)
    ]
    assert contents[0] == contents[1]


def test_unpacked_weights_take_the_memory_of_floats(converted: dict[str, Inspection]) -> None:
    half, whole = converted["float16"], converted["float"]
    assert half.memory.unpacked_bytes == 4 * half.model.parameters
    assert half.memory.peak_bytes == whole.memory.peak_bytes + half.memory.unpacked_bytes
    assert whole.memory.peak_bytes == 4 * (32 * 32 * 3 + 32 * 32 * 16 + 64 * 64 * 16)
    assert whole.memory.peak_bytes == 4 * converted["int8"].memory.peak_bytes


def test_the_noted_runtime_is_the_one_that_the_operators_ask_for(converted: dict[str, Inspection]) -> None:
    for name in ("float", "float16", "dynamic", "int8", "hundred"):
        assert converted[name].oldest_runtime == converted[name].model.min_runtime_version, name


def test_what_stands_out_fits_each_file(converted: dict[str, Inspection]) -> None:
    assert all("breaks_contract" in kinds(found) for found in converted.values())
    small = {"breaks_contract", "full_frame_resize", "large_share_of_multiply_adds", "large_share_of_memory"}
    assert kinds(converted["float"]) == kinds(converted["float16"]) == small
    assert kinds(converted["int8"]) == small | {"integers_not_delegated"}
    assert "several_subgraphs" in kinds(converted["signatures"]) & kinds(converted["lstm"])
    assert converted["float"].delegation.left == ()
