"""Which runtimes can run a file: by its operators' versions, and by running it on a farm's runtimes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from export_support import lower_module
from hypothesis import given
from hypothesis import strategies as st
from runtime_support import custom, listing, sum_graph
from torch import nn

from device_farm.client import FarmClient
from device_farm.local import LocalFarm
from device_farm.types import Device, Runtime
from sweep.export import ExportError, inspect_model
from sweep.export.compatibility import (
    Compatibility,
    Problem,
    check_export,
    check_target,
    compatibility,
    oldest_runtime,
    required_operators,
)
from sweep.export.errors import ContractError, IncompatibleRuntime
from sweep.export.graph import TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.proof import Proof, distinct_runtimes, prove, prove_here
from sweep.export.quantization.dynamic import to_dynamic_int8
from sweep.export.quantization.half import to_fp16
from sweep.export.spellings import nearest_spelling
from sweep.export.versions import FIRST_RUNTIME, release
from sweep.export.writer import write_tflite

FLOAT = [("ADD", 1), ("CONV_2D", 1)]


def relu_0_to_1_graph() -> TFLiteGraph:
    """An operator that came with TFLite 2.10."""
    tensors = tuple(TFLiteTensor(name, (1, 8, 8, 4)) for name in ("x", "y"))
    clip = TFLiteOperator("RELU_0_TO_1", 1, ("x",), "y", None)
    return TFLiteGraph(tensors, (clip,), input="x", output="y")


def broken_graph() -> TFLiteGraph:
    """Known operators with tensors that no kernel takes."""
    graph = sum_graph()
    return replace(graph, operators=(replace(graph.operators[0], inputs=("x",)),))


def saved(graph: TFLiteGraph, path: Path) -> Path:
    path.write_bytes(write_tflite(graph, ""))
    return path


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ([], Compatibility("1.5.0", (), ())),
        (FLOAT, Compatibility("1.5.0", tuple(FLOAT), ())),
        (
            [*FLOAT, ("HARD_SWISH", 1), ("DEQUANTIZE", 3), ("MEAN", 1)],
            Compatibility("1.15.0", (("DEQUANTIZE", 3), ("HARD_SWISH", 1)), ()),
        ),
        (
            [("CONV_2D", 5), ("CUSTOM:FlexErf", 1), ("ADD", 99)],
            Compatibility(None, (("CONV_2D", 5),), (("ADD", 99), ("CUSTOM:FlexErf", 1))),
        ),
    ],
)
def test_the_newest_operators_force_the_oldest_runtime(
    operators: list[tuple[str, int]], expected: Compatibility
) -> None:
    assert compatibility(operators) == expected


def test_a_file_tells_what_it_needs(tmp_path: Path) -> None:
    conv = nn.Conv2d(16, 24, 3)
    graph = lower_module(conv, torch.zeros(1, 16, 12, 12))
    found = {}
    for name, variant in (("fp32", graph), ("fp16", to_fp16(graph)), ("dynamic", to_dynamic_int8(graph))):
        path = saved(variant, tmp_path / f"{name}.tflite")
        found[name] = oldest_runtime(inspect_model(path))
        assert required_operators(path) == inspect_model(path).operator_versions
    assert found == {
        "fp32": Compatibility("1.5.0", (("CONV_2D", 1),), ()),
        "fp16": Compatibility("1.15.0", (("DEQUANTIZE", 3),), ()),
        "dynamic": Compatibility("2.4.0", (("CONV_2D", 5),), ()),
    }


def test_operators_that_a_file_only_lists_count_too(tmp_path: Path) -> None:
    path = tmp_path / "listing.tflite"
    path.write_bytes(listing([("GELU", 2), ("CUSTOM:FlexErf", 1)]))
    assert required_operators(path) == {("ADD", 1), ("GELU", 2), ("CUSTOM:FlexErf", 1)}


@pytest.mark.parametrize("content", [b"", b"no TFLite file at all", listing([])[:300]])
def test_what_is_no_whole_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=r"bad\.tflite"):
        required_operators(path)


@pytest.mark.parametrize(
    ("operator", "runtime", "first", "spelling"),
    [
        (
            ("HARD_SWISH", 1),
            "tflite-1.14.0",
            "1.15.0",
            "x * relu6(x + 3) / 6, as ADD with a fused RELU6 and two MUL, or the activation relu6",
        ),
        (
            ("RESIZE_BILINEAR", 3),
            "2.1.0",
            "2.2.0",
            "RESIZE_NEAREST_NEIGHBOR version 1 (upsampling: nearest)",
        ),
        (
            ("RESIZE_BILINEAR", 3),
            "1.7.0",
            "2.2.0",
            "RESIZE_BILINEAR version 1, without half-pixel centres",
        ),
        (("CONV_2D", 3), "1.13.1", "1.14.0", "the variant fp32, which has float operators only"),
        (("QUANTIZE", 1), "1.13.1", "1.14.0", "the variant fp32, which has float operators only"),
        (("GELU", 1), "2.5.0", "2.9.0", "HARD_SWISH version 1 (activation: hard_swish)"),
        (("ADD", 5), "2.5.0", "2.13.0", "ADD of version 3 at most"),
        (("SIGN", 1), "2.5.0", "2.11.0", "none: no operator there does the same"),
        (
            ("CUSTOM:FlexErf", 1),
            "2.14.0",
            None,
            "builtin operators: Flex ones need a runtime that is built with TensorFlow's",
        ),
        (
            ("CUSTOM:Mine", 1),
            "2.14.0",
            None,
            "builtin operators: a custom one needs a runtime that is built with it",
        ),
        (("DYNAMIC_UPDATE_SLICE", 5), "litert-1.0.1", "2.21.0", "DYNAMIC_UPDATE_SLICE of version 1 at most"),
    ],
)
def test_each_missing_operator_is_named_with_the_nearest_spelling(
    operator: tuple[str, int], runtime: str, first: str | None, spelling: str
) -> None:
    assert check_target([("ADD", 1), operator], runtime) == (Problem(*operator, first, spelling),)


def test_a_runtime_that_has_all_operators_has_no_problem() -> None:
    assert check_target([("CONV_2D", 5), ("DEPTHWISE_CONV_2D", 6), ("HARD_SWISH", 1)], "tflite-2.5.0") == ()


def test_an_export_that_its_target_lacks_is_refused_with_every_operators_name() -> None:
    operators = frozenset({("CONV_2D", 5), ("HARD_SWISH", 1), ("ADD", 1)})
    check_export(operators, "tflite-2.5.0")
    with pytest.raises(ExportError) as caught:
        check_export(operators, "tflite-1.14.0")
    assert isinstance(caught.value, IncompatibleRuntime)
    assert str(caught.value) == (
        "tflite-1.14.0 lacks CONV_2D version 5 (first in TFLite 2.4.0); nearest that it has: the variant fp32, "
        "which has float operators only; HARD_SWISH version 1 (first in TFLite 1.15.0); nearest that it has: "
        "x * relu6(x + 3) / 6, as ADD with a fused RELU6 and two MUL, or the activation relu6"
    )


def test_a_target_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="runtime 'newest'"):
        check_export(FLOAT, "newest")


@given(st.sets(st.sampled_from(sorted(FIRST_RUNTIME))), st.sampled_from(sorted(set(FIRST_RUNTIME.values()))))
def test_a_runtime_has_problems_exactly_if_it_is_older_than_the_oldest_that_can(
    operators: set[tuple[str, int]], runtime: str
) -> None:
    oldest = compatibility(operators).oldest
    assert oldest is not None
    assert bool(check_target(operators, runtime)) == (release(runtime) < release(oldest))


@given(st.sampled_from(sorted(FIRST_RUNTIME)), st.sampled_from(sorted(set(FIRST_RUNTIME.values()))))
def test_a_spelling_never_names_what_is_missing(operator: tuple[str, int], runtime: str) -> None:
    if not check_target([operator], runtime):
        return
    spelling = nearest_spelling(*operator, runtime)
    assert f"{operator[0]} version {operator[1]}" not in spelling
    for (name, version), first in FIRST_RUNTIME.items():
        if f"{name} version {version}" in spelling:
            assert release(first) <= release(runtime)


def device(name: str, *runtimes: Runtime, **facts: object) -> Device:
    plain = Device(f"id-{name}", name, "board", {}, {}, runtimes, "idle")
    return replace(plain, **facts)


def test_each_runtime_is_asked_once_on_a_device_that_is_free() -> None:
    old, new = (
        Runtime("tflite-2.5.0", "2.5.0", ("none",)),
        Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack")),
    )
    devices = [
        device("busy", new, old, state="busy"),
        device("idle", new),
        device("gone", old, state="offline"),
        device("drained", old, standing="draining"),
    ]
    chosen = {place: device.name for place, device in distinct_runtimes(devices).items()}
    assert chosen == {
        ("tflite-2.14.0", "none"): "idle",
        ("tflite-2.14.0", "xnnpack"): "idle",
        ("tflite-2.5.0", "none"): "busy",
    }


def test_this_machines_runtime_proves_itself(tmp_path: Path) -> None:
    found = prove_here(saved(sum_graph(), tmp_path / "sum.tflite"))
    assert found == (
        Proof("tflite-2.14.0", "none", "", "ran"),
        Proof("tflite-2.14.0", "xnnpack", "", "ran"),
    )


def test_a_file_of_known_operators_that_does_not_run_is_refused_in_the_runtimes_words(tmp_path: Path) -> None:
    path = saved(broken_graph(), tmp_path / "broken.tflite")
    assert check_target(required_operators(path), "2.14.0") == ()
    found = prove_here(path)
    assert [(proof.runtime, proof.outcome) for proof in found] == [("tflite-2.14.0", "refused")] * 2
    assert all("NumInputs" in proof.words for proof in found)


def test_a_custom_operator_is_refused_in_the_runtimes_words(tmp_path: Path) -> None:
    path = tmp_path / "custom.tflite"
    path.write_bytes(custom("FlexErf"))
    assert compatibility(required_operators(path)) == Compatibility(None, (), (("CUSTOM:FlexErf", 1),))
    found = prove_here(path)
    assert {proof.outcome for proof in found} == {"refused"}
    assert all("FlexErf" in proof.words for proof in found)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFarm]:
    with LocalFarm(tmp_path_factory.mktemp("farm"), name="bench") as farm:
        yield farm


def test_a_farms_runtime_proves_a_file(farm: LocalFarm, tmp_path: Path) -> None:
    with FarmClient(farm.address) as client:
        ran = prove(saved(sum_graph(), tmp_path / "sum.tflite"), client)
        refused = prove(saved(broken_graph(), tmp_path / "broken.tflite"), client)
    assert ran == (
        Proof("tflite-2.14.0", "none", "bench", "ran"),
        Proof("tflite-2.14.0", "xnnpack", "bench", "ran"),
    )
    assert {(proof.device, proof.outcome) for proof in refused} == {("bench", "refused")}
    assert all("NumInputs" in proof.words for proof in refused)


@pytest.mark.tflite25
def test_a_farm_with_an_old_runtime_tells_the_two_apart(tmp_path: Path) -> None:
    path = saved(relu_0_to_1_graph(), tmp_path / "new.tflite")
    (problem,) = check_target(required_operators(path), "tflite-2.5.0")
    assert (problem.operator, problem.first_runtime) == ("RELU_0_TO_1", "2.10.0")
    runtimes = {"tflite-2.5.0": os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]}
    with (
        LocalFarm(tmp_path / "farm", name="bench", runtimes=runtimes) as farm,
        FarmClient(farm.address) as client,
    ):
        found = prove(path, client)
        half = prove(saved(to_fp16(convolution()), tmp_path / "half.tflite"), client)
        dynamic = prove(saved(to_dynamic_int8(convolution()), tmp_path / "dynamic.tflite"), client)
    outcomes = {(proof.runtime, proof.delegate): proof.outcome for proof in found}
    assert outcomes.pop(("tflite-2.14.0", "none")) == outcomes.pop(("tflite-2.14.0", "xnnpack")) == "ran"
    assert {runtime for runtime, _ in outcomes} == {"tflite-2.5.0"}
    assert set(outcomes.values()) == {"refused"}
    assert any("Op builtin_code out of range" in proof.words for proof in found)
    for proofs in (half, dynamic):
        assert {proof.outcome for proof in proofs} == {"ran"}
        assert {proof.runtime for proof in proofs} == {"tflite-2.5.0", "tflite-2.14.0"}


def convolution() -> TFLiteGraph:
    torch.manual_seed(0)
    return lower_module(nn.Conv2d(16, 24, 3), torch.zeros(1, 16, 12, 12))
