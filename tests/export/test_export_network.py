"""Whole networks through the export: faithful, deterministic, complete or not there at all."""

import copy
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_support import lower_network, trained_looking, with_constant
from numpy.typing import NDArray

from sweep.export import (
    ContractError,
    ExportedFiles,
    ParityError,
    check_contract,
    export_network,
    inspect_model,
)
from sweep.export.interpreter import TFLiteRunner
from sweep.export.onnx_export import network_to_onnx
from sweep.export.parity import check_parity
from sweep.export.reference import reference_difference
from sweep.export.versions import release
from sweep.export.writer import write_tflite
from sweep.models import FRAME_SIZE, DepthNetwork, build_network
from sweep.space.candidate import Architecture

Photos = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Exported:
    network: DepthNetwork
    files: ExportedFiles


@pytest.fixture(scope="module")
def exported(
    architectures: dict[str, Architecture], photos: Photos, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Exported]:
    results = {}
    for name, architecture in architectures.items():
        network = trained_looking(architecture)
        files = export_network(network, tmp_path_factory.mktemp(name), photos)
        results[name] = Exported(network, files)
    return results


def torch_depth_mm(network: DepthNetwork, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    frames = torch.from_numpy(frame.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
    with torch.no_grad():
        return np.asarray(network.depth_mm(frames)[0, 0].numpy())


NAMES = ["add", "concat", "separable"]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_gives_the_networks_depth_for_a_photo(
    name: str, exported: dict[str, Exported], photos: Photos
) -> None:
    result = exported[name]
    expected = torch_depth_mm(result.network, photos[0])
    depth_mm = TFLiteRunner(result.files.tflite).predict(photos[0])
    assert expected.max() > 1.5 * expected.min()  # a picture with depth, or the comparison says little
    np.testing.assert_allclose(depth_mm, expected, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_onnx_file_is_valid_and_gives_the_same_depth(
    name: str, exported: dict[str, Exported], photos: Photos
) -> None:
    result = exported[name]
    onnx.checker.check_model(str(result.files.onnx), full_check=True)
    session = onnxruntime.InferenceSession(str(result.files.onnx), providers=["CPUExecutionProvider"])
    frame = photos[1].transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    (depth_mm,) = session.run(["depth_mm"], {"rgb": frame})
    np.testing.assert_allclose(depth_mm[0, 0], torch_depth_mm(result.network, photos[1]), rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_report_describes_the_file(name: str, exported: dict[str, Exported]) -> None:
    files = exported[name].files
    info = inspect_model(files.tflite)
    assert files.size_bytes == files.tflite.stat().st_size
    assert (files.parameters, files.multiply_adds) == (info.parameters, info.multiply_adds)
    assert files.operators == info.operator_counts
    assert sum(files.operators.values()) == len(info.operators)
    assert files.parity.frames == 2
    assert 0 <= files.parity.mean_relative <= files.parity.max_relative <= 1e-4
    assert files.parity.onnx_max_relative <= 1e-3
    assert 0 <= files.parity.si_rmse <= 2 * files.parity.max_relative


@pytest.mark.parametrize("name", NAMES)
def test_the_file_keeps_the_contract_and_runs_on_tflite_2_5(name: str, exported: dict[str, Exported]) -> None:
    path = exported[name].files.tflite
    contract = check_contract(path)
    assert contract.input_type == "float32"
    assert contract.output_shape == (1, 480, 640, 1)
    info = inspect_model(path)
    assert info.min_runtime_version is not None
    assert release(info.min_runtime_version) <= (2, 5, 0)
    forbidden = {"TRANSPOSE", "RELU_0_TO_1"}
    assert not [
        op.name for op in info.operators if op.name in forbidden or op.name.startswith(("CUSTOM", "Flex"))
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["black", "white", "noise", "checkerboard"])
def test_extreme_frames_give_finite_depths_within_the_clamp(
    name: str, kind: str, exported: dict[str, Exported]
) -> None:
    frames: dict[str, NDArray[np.uint8]] = {
        "black": np.zeros((480, 640, 3), np.uint8),
        "white": np.full((480, 640, 3), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8),
        "checkerboard": np.indices((480, 640)).sum(0)[..., np.newaxis].repeat(3, 2).astype(np.uint8)
        % 2
        * 255,
    }
    depth_mm = TFLiteRunner(exported[name].files.tflite).predict(frames[kind])
    assert np.isfinite(depth_mm).all()
    assert depth_mm.min() >= 99.99
    assert depth_mm.max() <= 100_001
    np.testing.assert_allclose(depth_mm, torch_depth_mm(exported[name].network, frames[kind]), rtol=1e-3)


def test_tensorflows_reference_kernels_agree_on_a_photo(
    exported: dict[str, Exported], photos: Photos
) -> None:
    found = reference_difference(exported["add"].files.tflite, photos, timeout_seconds=120)
    assert found.max_relative < 1e-4
    assert found.si_rmse < 1e-5


def test_parameters_and_multiply_adds_are_those_of_the_network(
    exported: dict[str, Exported],
) -> None:
    network, files = exported["separable"].network, exported["separable"].files
    weights, products = 0, 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal weights, products
        assert isinstance(module, torch.nn.Conv2d)
        weights += module.weight.numel() + module.out_channels  # each has a bias once its norm is folded
        products += module.weight.numel() * output.shape[2] * output.shape[3]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        network.depth_mm(torch.zeros(1, 3, *FRAME_SIZE))
    for hook in hooks:
        hook.remove()
    assert files.multiply_adds == products
    gates, clamp_and_scale = 1, 3
    assert files.parameters == weights + gates + clamp_and_scale


@pytest.mark.parametrize("missing_bytes", [1000, 50_000])
def test_a_file_cut_off_within_its_weights_is_told_to_be_damaged(
    missing_bytes: int, exported: dict[str, Exported], tmp_path: Path
) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(exported["add"].files.tflite.read_bytes()[:-missing_bytes])
    with pytest.raises(ContractError, match=r"cut\.tflite: the TFLite file is damaged"):
        TFLiteRunner(path)


def test_the_same_weights_give_the_same_bytes(
    exported: dict[str, Exported], photos: Photos, tmp_path: Path
) -> None:
    result = exported["add"]
    again = export_network(result.network, tmp_path, photos[:1])
    assert again.sha256 == result.files.sha256
    assert again.tflite.read_bytes() == result.files.tflite.read_bytes()
    assert again.onnx.read_bytes() == result.files.onnx.read_bytes()


def test_other_weights_give_other_bytes_but_the_same_operators(
    exported: dict[str, Exported], architectures: dict[str, Architecture], photos: Photos, tmp_path: Path
) -> None:
    other = export_network(trained_looking(architectures["add"], seed=1), tmp_path, photos[:1])
    assert other.sha256 != exported["add"].files.sha256
    assert other.operators == exported["add"].files.operators


def test_an_untrained_network_in_training_mode_exports_and_is_left_as_it_was(
    architectures: dict[str, Architecture], photos: Photos, tmp_path: Path
) -> None:
    network = build_network(architectures["concat"]).train()
    before = copy.deepcopy(network.state_dict())
    files = export_network(network, tmp_path, photos[:1])
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert files.parity.max_relative < 1e-4


def test_a_file_beyond_the_tolerance_is_never_left_behind(
    architectures: dict[str, Architecture], photos: Photos, tmp_path: Path
) -> None:
    with pytest.raises(ParityError, match="differs from the network by"):
        export_network(trained_looking(architectures["add"]), tmp_path, photos[:1], tolerance=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", ["/network/decoder/blocks.1/pointwise/", "/network/encoder/stem/"])
def test_a_corrupted_weight_is_reported_with_the_layer_it_sits_in(
    layer: str, architectures: dict[str, Architecture], photos: Photos, tmp_path: Path
) -> None:
    network = trained_looking(architectures["add"])
    graph = lower_network(network)
    weights = next(t for t in graph.tensors if t.name.startswith(layer) and t.name.endswith("/weights"))
    assert weights.data is not None
    path = tmp_path / "corrupted.tflite"
    corrupted = with_constant(graph, weights.name, np.asarray(weights.data * 1.5, np.float32))
    path.write_bytes(write_tflite(corrupted, "corrupted"))
    output = weights.name.removesuffix("/weights")
    with pytest.raises(ParityError, match=f"first layer that diverges is '{output}'"):
        check_parity(network, network_to_onnx(network), corrupted, path, photos[:1], tolerance=1e-3)


def test_a_depth_that_is_not_a_number_fails_parity(
    architectures: dict[str, Architecture], photos: Photos, tmp_path: Path
) -> None:
    network = build_network(architectures["separable"])
    torch.nn.init.constant_(network.head.weight, float("nan"))
    with pytest.raises(ParityError):
        export_network(network, tmp_path, photos[:1])


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 480, 640, 3), np.float32),
        np.zeros((0, 480, 640, 3), np.uint8),
        np.zeros((480, 640, 3), np.uint8),
        np.zeros((1, 240, 320, 3), np.uint8),
    ],
    ids=["float", "none", "no-batch", "small"],
)
def test_frames_of_another_form_are_refused(
    frames: NDArray[np.uint8], architectures: dict[str, Architecture], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="allowed is"):
        export_network(build_network(architectures["add"]), tmp_path, frames)


def test_running_files_needs_neither_torch_nor_onnx_nor_tensorflow() -> None:
    code = (
        "import sys, sweep.export, sweep.export.interpreter, sweep.export.reference; "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'tensorflow'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"


def test_exporting_does_not_import_tensorflow() -> None:
    code = (
        "import sys, sweep.export.parity, sweep.export.lowering, sweep.export.writer; "
        "print('tensorflow' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "False"
