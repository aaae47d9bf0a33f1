"""The worker as a program for aarch64, under emulation: it registers, answers, and computes what x86 computes.

Latencies taken here are those of an emulator; the farm must never give them out as anything else.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from farm_models import add_model

import device_farm
from device_farm.client import FarmClient
from device_farm.local import LocalFarm
from device_farm.types import InfeasibleModel, Target
from sweep.export import export_network
from sweep.models import build_network
from sweep.space.candidate import Architecture

pytestmark = [pytest.mark.long, pytest.mark.arm64]

REPOSITORY = Path(device_farm.__file__).resolve().parents[1]
EMULATED, NATIVE = Target({"arch": "aarch64"}), Target({"arch": platform.machine()})


@pytest.fixture(scope="module")
def python_arm64() -> str:
    """The launcher in the folder that arm64/make_root.py made."""
    return str(Path(os.environ["DEPTH_SWEEP_ARM64_ROOT"]) / "usr/bin/python-arm64")


@pytest.fixture(scope="module")
def fleet(python_arm64: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarmClient]:
    """A farm of this machine in which a second worker, "emulated", is a program for aarch64."""
    state = tmp_path_factory.mktemp("fleet")
    with (
        LocalFarm(state / "farm", name="native") as farm,
        emulated_worker(python_arm64, farm.address, state / "emulated"),
        FarmClient(farm.address, device_wait_seconds=0) as client,
    ):
        yield client


@contextmanager
def emulated_worker(python: str, farm: str, state: Path) -> Iterator[None]:
    """Runs the worker; returns when it is registered, and asserts in the end that SIGTERM ends it well."""
    ready, ready_of_child = os.pipe()
    worker = subprocess.Popen(
        [
            *(python, "-m", "device_farm", "worker", "--farm", farm, "--state", str(state)),
            *("--name", "emulated", "--emulated", "--ready-fd", str(ready_of_child)),
        ],
        pass_fds=(ready_of_child,),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    os.close(ready_of_child)
    try:
        with os.fdopen(ready) as pipe:
            assert pipe.readline(), "the worker ended before it was registered"
        yield
    finally:
        worker.terminate()
        ending = worker.wait(30)
    assert ending == 0


def stage(depth: int, kernel: int, activation: str, *, gates: bool) -> dict[str, object]:
    return {
        "depth": depth,
        "kernel": kernel,
        "expansion": 3,
        "activation": activation,
        "squeeze_excite": gates,
    }


# Rectifiers, 3x3 kernels and nearest-neighbour upsampling: XNNPACK's kernels for these round alike on aarch64
# and on x86 with FMA. 96x128 is a fifth of the frame, so that the first resize picks pixels, unmixed.
SAME_ROUNDING = {
    "input": {"height": 96, "width": 128, "resize": "bilinear"},
    "encoder": {
        "kind": "mobilenetv3",
        "width": 0.5,
        "stem_activation": "relu",
        "stage1": stage(1, 3, "relu", gates=False),
        "stage2": stage(2, 3, "relu6", gates=False),
        "stop": {"kind": "stride_16", "stage3": stage(1, 3, "relu", gates=False)},
    },
    "decoder": {"kind": "add", "width": 16, "upsampling": "nearest"},
    "output": {"stride": 4, "upsampling": "nearest"},
}
# Kernels for hard-swish, means, interpolation and 5x5 filters differ in their last bits.
EVERY_OPERATOR = {
    "input": {"height": 80, "width": 112, "resize": "pooled"},
    "encoder": {
        "kind": "mobilenetv3",
        "width": 0.5,
        "stem_activation": "hard_swish",
        "stage1": stage(1, 3, "relu", gates=False),
        "stage2": stage(2, 5, "hard_swish", gates=True),
        "stop": {"kind": "stride_16", "stage3": stage(1, 7, "relu6", gates=True)},
    },
    "decoder": {"kind": "separable", "width": 16, "upsampling": "bilinear", "kernel": 5},
    "output": {"stride": 4, "upsampling": "bilinear"},
}


def exported(architecture: dict[str, object], folder: Path) -> Path:
    """A depth network with random weights, as the sweep exports it; its depths spread over metres."""
    torch.manual_seed(0)
    network = build_network(Architecture.model_validate(architecture)).eval()
    with torch.no_grad():
        network.head.weight.mul_(5)
    frames = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3), dtype=np.uint8)
    return export_network(network, folder, frames).tflite


def test_the_worker_registers_as_an_emulated_raspberry_pi_4(fleet):
    devices = {device.name: device for device in fleet.devices()}
    assert devices.keys() == {"emulated", "native"}
    emulated = devices["emulated"]
    assert (emulated.device_class, emulated.emulated, emulated.state) == ("raspberrypi-4b", True, "idle")
    assert emulated.labels.items() >= {"arch": "aarch64", "board": "raspberrypi-4b", "soc": "bcm2711"}.items()
    found = {
        "arch": "aarch64",
        "board": "Raspberry Pi 4 Model B Rev 1.4",
        "board_revision": "c03114",
        "cpu": "Cortex-A72",
        "cpu_max_mhz": "1500",
        "governor": "performance",
    }
    assert emulated.facts.items() >= found.items()
    assert emulated.profile != "rpi4"  # the machine that emulates it cannot keep a real board's strict rules
    (runtime,) = emulated.runtimes
    assert (runtime.name, set(runtime.delegates)) == ("tflite-2.14.0", {"none", "xnnpack"})
    assert not devices["native"].emulated


@pytest.mark.parametrize("name", ["addition", "depth network"])
def test_a_job_gives_the_same_output_as_on_x86_bit_for_bit_and_is_marked_emulated(
    name, fleet, quick, tmp_path
):
    model = add_model() if name == "addition" else exported(SAME_ROUNDING, tmp_path)
    there, here = (fleet.measure(model, target, quick) for target in (EMULATED, NATIVE))
    assert there.evidence["output_sha256"] == here.evidence["output_sha256"]
    assert len(there.evidence["output_sha256"]) == 64
    assert (there.device_name, there.device_class, there.emulated) == ("emulated", "raspberrypi-4b", True)
    assert (here.device_name, here.emulated) == ("native", False)
    assert there.runtime_version == here.runtime_version == "2.14.0"
    assert there.evidence["delegate_partitions"] == here.evidence["delegate_partitions"] > 0


def test_the_command_line_shows_the_latency_as_none_of_real_hardware(fleet, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(add_model())
    options = ["--farm", fleet.address, "--require", "arch=aarch64", "--budget", "0.1"]
    command = [sys.executable, "-m", "device_farm", "measure", str(path), *options]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"EMULATED.*not a latency of real hardware", output)


def test_a_model_that_the_runtime_refuses_is_infeasible_there_too(fleet, quick):
    with pytest.raises(InfeasibleModel, match=r"tflite-2\.14\.0 on emulated: .*custom op: NoSuchOp"):
        fleet.measure(add_model(custom_operator="NoSuchOp"), EMULATED, quick)


INVOKE = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
model, frame, output = sys.argv[1:]
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(frame))
interpreter.invoke()
np.save(output, interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
"""


def test_a_network_of_every_operator_gives_x86s_depths_up_to_rounding(python_arm64, tmp_path):
    model, frame = exported(EVERY_OPERATOR, tmp_path), tmp_path / "frame.npy"
    np.save(frame, np.random.default_rng(1).uniform(0, 255, (1, 480, 640, 3)).astype(np.float32))
    depths_mm = []
    for python in (python_arm64, sys.executable):
        output = tmp_path / "depth.npy"
        subprocess.run([python, "-c", INVOKE, str(model), str(frame), str(output)], check=True)
        depths_mm.append(np.load(output))
    there, here = depths_mm
    assert here.max() > 1.2 * here.min()  # a picture with depth, or the comparison says little
    np.testing.assert_allclose(there, here, rtol=1e-4)
