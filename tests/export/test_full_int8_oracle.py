"""Our int8 files against TensorFlow's quantiser, TensorFlow's reference kernels and other runtimes."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter as LiteRT
from architecture_strategy import architectures as any_architecture
from export_support import lower_module, lower_network, nhwc, run_tflite, trained_looking
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_operator_parity import CASES, randomise_norms

from sweep.export import check_contract, inspect_model
from sweep.export.graph import TFLiteGraph
from sweep.export.interpreter import output_depth_mm
from sweep.export.quantization.calibration import calibrate, inner_tensors
from sweep.export.quantization.full_int8 import quantize_all, split_regions
from sweep.export.reference import QUIET, run_under_tensorflow
from sweep.export.variants import CALIBRATED, convert
from sweep.export.writer import write_tflite
from sweep.space.candidate import Architecture

pytestmark = pytest.mark.long

Photos = NDArray[np.uint8]


def quantised_by_tensorflow(jobs: list[tuple[TFLiteGraph, NDArray[np.float32]]], folder: Path) -> list[Path]:
    """The files that TensorFlow's quantiser makes of the float graphs, calibrated with those inputs."""
    listed = []
    for index, (graph, inputs) in enumerate(jobs):
        paths = [folder / f"{index}-{part}" for part in ("float.tflite", "inputs.npy", "int8.tflite")]
        paths[0].write_bytes(write_tflite(graph, "float"))
        np.save(paths[1], inputs)
        listed.append([str(path) for path in paths])
    (folder / "jobs.json").write_text(json.dumps(listed))
    script = Path(__file__).with_name("int8_oracle_child.py")
    command = [sys.executable, str(script), str(folder / "jobs.json")]
    child = subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return [Path(quantised) for _, _, quantised in listed]


def up_to_log_depth(graph: TFLiteGraph) -> TFLiteGraph:
    """The network without its tail, which TensorFlow would make int8 too."""
    regions = split_regions(graph)
    body = (*regions.prefix, *regions.body)
    return dataclasses.replace(graph, operators=body, output=body[-1].output)


def test_networks_lose_no_more_accuracy_than_with_tensorflows_quantiser(
    architectures: dict[str, Architecture], photos: Photos, tmp_path: Path
) -> None:
    graphs = [up_to_log_depth(lower_network(trained_looking(value))) for value in architectures.values()]
    frames = photos.astype(np.float32)
    theirs = quantised_by_tensorflow([(graph, frames) for graph in graphs], tmp_path)
    for graph, their_path in zip(graphs, theirs, strict=True):
        our_path, float_path = tmp_path / "ours.tflite", tmp_path / "float.tflite"
        our_path.write_bytes(write_tflite(convert(graph, "int8", calibrate(graph, photos)), "ours"))
        float_path.write_bytes(write_tflite(graph, "float"))
        exact, ours, expected = (
            np.stack([run_tflite(path, frame[np.newaxis]) for frame in frames])
            for path in (float_path, our_path, their_path)
        )
        our_error, their_error = (float(np.sqrt(np.mean((found - exact) ** 2))) for found in (ours, expected))
        assert 0 < our_error < 0.1 * exact.std()
        assert our_error < 1.5 * their_error
        found, known = (inspect_model(path) for path in (our_path, their_path))
        assert all(version <= dict(known.operator_versions)[op] for op, version in found.operator_versions)
        assert sum(found.operator_counts.values()) <= sum(known.operator_counts.values())


@dataclasses.dataclass(frozen=True)
class Quantised:
    """A case's float graph and input, our int8 file and TensorFlow's."""

    graph: TFLiteGraph
    inputs: NDArray[np.float32]
    ours: Path
    theirs: Path


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Quantised]:
    """Every operator in every form that the exporter writes, quantised twice."""
    folder = tmp_path_factory.mktemp("operators")
    random = np.random.default_rng(0)
    jobs, ours = [], []
    for name, case in CASES.items():
        randomise_norms(case.module)
        example = torch.from_numpy(random.normal(size=case.shape).astype(np.float32))
        graph, inputs = lower_module(case.module, example), nhwc(example)
        path = folder / f"{name}.tflite"
        path.write_bytes(write_tflite(quantize_all(graph, calibrate(graph, inputs)), name))
        jobs.append((graph, inputs))
        ours.append(path)
    theirs = quantised_by_tensorflow(jobs, folder)
    return {
        name: Quantised(graph, inputs, our_path, their_path)
        for name, (graph, inputs), our_path, their_path in zip(CASES, jobs, ours, theirs, strict=True)
    }


def relative_error(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Root mean square of the difference over the largest magnitude."""
    return float(np.sqrt(np.mean((found - exact) ** 2)) / np.abs(exact).max())


def test_every_operator_is_as_exact_as_with_tensorflows_quantiser(cases: dict[str, Quantised]) -> None:
    for name, case in cases.items():
        (exact,) = (tensors[case.graph.output] for tensors in exact_output(case))
        ours, theirs = (
            relative_error(run_tflite(path, case.inputs), exact) for path in (case.ours, case.theirs)
        )
        # A clamp passes its codes on; there they are finer, since they end where the first bound cuts off. With
        # values on both sides of zero that is half the range.
        allowed = 2.5 if name == "clamp" else 1.6
        assert ours <= max(allowed * theirs, 0.004), name


def exact_output(case: Quantised) -> list[dict[str, NDArray[np.float32]]]:
    return list(inner_tensors(case.graph, case.inputs, [case.graph.output]))


def test_operator_versions_are_those_of_tensorflows_quantiser(cases: dict[str, Quantised]) -> None:
    newest: dict[str, int] = {}
    for case in cases.values():
        for operator, version in inspect_model(case.theirs).operator_versions:
            newest[operator] = max(version, newest.get(operator, 0))
    ours = {pair for case in cases.values() for pair in inspect_model(case.ours).operator_versions}
    assert {operator for operator, _ in ours} == set(newest)
    assert not {(operator, version) for operator, version in ours if version > newest[operator]}


def test_tensorflows_reference_kernels_agree_to_a_step(cases: dict[str, Quantised]) -> None:
    outputs = run_under_tensorflow([(case.ours, case.inputs) for case in cases.values()], timeout_seconds=240)
    for (name, case), reference in zip(cases.items(), outputs, strict=True):
        found = run_tflite(case.ours, case.inputs)
        model = inspect_model(case.ours)
        scales = [t.quantization.scales[0] for t in model.tensors if t.quantization and not t.constant]
        assert np.abs(found - reference).max() <= 3 * max(scales, default=1e-5), name


@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(architecture=any_architecture(), seed=st.integers(0, 2**31))
def test_networks_run_on_litert_where_xnnpack_takes_their_integers(
    architecture: Architecture, seed: int, photos: Photos, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("litert") / "model.tflite"
    graph = lower_network(trained_looking(architecture, seed))
    calibration = calibrate(graph, photos)
    expected = litert_depth_mm(graph, path, photos[:1])
    for variant in sorted(CALIBRATED):
        found = litert_depth_mm(convert(graph, variant, calibration), path, photos[:1])
        assert np.mean(np.abs(found - expected) / expected) < 0.12, variant


def litert_depth_mm(graph: TFLiteGraph, path: Path, frame: Photos) -> NDArray[np.float64]:
    """Depth under LiteRT, which hands integer operators to XNNPACK too."""
    path.write_bytes(write_tflite(graph, "litert"))
    interpreter = LiteRT(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], frame.astype(source["dtype"]))
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return np.asarray(output_depth_mm(output, check_contract(path)), np.float64)
