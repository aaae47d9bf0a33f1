"""Whatever bytes a file has: they are described or refused in one line, and nothing else happens."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from handmade_files import RELU, Sketch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.export import ContractError, inspect_model
from sweep.export.graph import DepthEncoding, Quantization
from sweep.export.inspect import contract_of
from sweep.export.inspection import Inspection, examine, find_remarks
from sweep.export.inspection.delegation import Delegation
from sweep.export.inspection.memory import memory_use
from sweep.export.writer import write_tflite
from sweep.report.inspection import inspection_json, inspection_view


def varied() -> bytes:
    """A file with convolutions, codes, unpacked weights, a resize and metadata."""
    sketch = Sketch()
    sketch.tensor("x", (1, 8, 8, 2))
    sketch.convolution("x", np.ones((2, 3, 3, 2), np.float32), "a", RELU)
    sketch.constant("half", np.ones((1, 8, 8, 2), np.float16))
    sketch.tensor("unpacked", (1, 8, 8, 2))
    sketch.operator("DEQUANTIZE", ("half",), "unpacked", version=3)
    sketch.add("a", "unpacked", "b")
    sketch.tensor("c", (1, 8, 8, 2), "int8", Quantization((0.1,), (-3,)))
    sketch.operator("QUANTIZE", ("b",), "c")
    sketch.tensor("d", (1, 8, 8, 2))
    sketch.operator("DEQUANTIZE", ("c",), "d", version=2)
    sketch.resize("d", (16, 16), "y")
    return write_tflite(sketch.graph("x", "y", DepthEncoding("log", 1, 2)), "by hand")


WHOLE = varied()


def describe(path: Path) -> None:
    """All that `sweep inspect` does, but for asking the runtime."""
    model = inspect_model(path)
    with suppress(ContractError):
        contract_of(model, "m.tflite")
    memory = memory_use(model)
    delegation = Delegation("a runtime", 1, tuple(range(0, len(model.operators), 2)))
    remarks = tuple(find_remarks(model, memory, delegation))
    found = Inspection(path, model, None, memory, None, delegation, remarks)
    inspection_json(found)
    inspection_view(found, width=100)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6)
)
def test_changed_bytes_are_described_or_refused(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    data = bytearray(WHOLE)
    for position, value in changes:
        data[position] = value
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    with suppress(ContractError):
        describe(path)


def test_the_whole_file_is_described(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(WHOLE)
    describe(path)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_file_is_refused_with_its_name(share: float, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(WHOLE[: int(len(WHOLE) * share)])
    with pytest.raises(ContractError, match=r"m\.tflite: the TFLite file is damaged \(.+\)$") as refused:
        examine(path)
    assert "\n" not in str(refused.value)


def test_bytes_behind_the_file_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(WHOLE + b"a licence, say")
    found = inspect_model(path)
    path.write_bytes(WHOLE)
    assert found.operators == inspect_model(path).operators
