"""The device-farm command as a person or script meets it."""

import json
import re
import signal
import subprocess
import sys

import pytest
from farm_models import add_model

from device_farm.types import measurement_from_json

NOBODY = "127.0.0.1:1"  # an address where nothing listens


def device_farm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "device_farm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.tflite"
    path.write_bytes(add_model())
    return path


def test_measure_prints_the_latency_first_and_what_it_is_worth(local_farm, model_file):
    result = device_farm("measure", str(model_file), "--farm", local_farm.address, "--require", "room=lab")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"^latency +\S+ ms \(median of \d+ invocations\)", result.stdout, re.MULTILINE)
    assert re.search(r"^device +bench \(", result.stdout, re.MULTILINE)
    assert re.search(r"^runtime +tflite-2\.14\.0, 1 thread, delegate xnnpack", result.stdout, re.MULTILINE)


def test_measure_prints_json_that_holds_the_whole_measurement(local_farm, model_file):
    options = ["--json", "--threads", "2", "--delegate", "none", "--runtime", "tflite-2.14.0"]
    result = device_farm("measure", str(model_file), "--farm", local_farm.address, *options)
    assert (result.returncode, result.stderr) == (0, "")
    data = json.loads(result.stdout)
    assert data.pop("model") == str(model_file)
    measurement = measurement_from_json(data)
    assert data["latency_ms"] == measurement.latency_ms > 0
    assert (measurement.threads, measurement.delegate, measurement.device_name) == (2, "none", "bench")


def test_devices_lists_the_fleet_for_people_and_programs(local_farm):
    text = device_farm("devices", "--farm", local_farm.address)
    assert text.returncode == 0
    header, first, *_ = text.stdout.splitlines()
    assert header.split() == ["NAME", "STATE", "CLASS", "CORES", "RUNTIMES", "LABELS"]
    assert first.startswith("bench  idle")
    (device,) = json.loads(device_farm("devices", "--farm", local_farm.address, "--json").stdout)
    assert (device["name"], device["state"], device["labels"]["room"]) == ("bench", "idle", "lab")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["serve", "--listen", "0.0.0.0:0"],
            2,
            "only loopback addresses such as 127.0.0.1:50051 are allowed",
        ),
        (["serve", "--listen", "here"], 2, "address 'here': expected HOST:PORT, such as 127.0.0.1:50051"),
        (["devices", "--farm", NOBODY], 1, "no farm answers at 127.0.0.1:1: Connection refused"),
        (["devices", "--farm", "nowhere"], 2, "address 'nowhere': expected HOST:PORT"),
        (["measure", "/no/such.tflite", "--farm", NOBODY], 2, "/no/such.tflite: no such file"),
        (["measure", "m.tflite", "--farm", NOBODY, "--wait", "-1"], 2, "--wait -1.0: allowed are finite"),
        (["measure", "m.tflite", "--farm", NOBODY, "--timeout", "nan"], 2, "--timeout nan: allowed are"),
        (["measure", __file__, "--farm", NOBODY], 2, f"{__file__}: not a TFLite file"),
        (["measure", __file__, "--farm", NOBODY, "--threads", "0"], 2, "threads must be 1 to"),
        (
            ["measure", __file__, "--farm", NOBODY, "--delegate", "gpu"],
            2,
            "--delegate must be one of none, xnnpack",
        ),
        (
            ["measure", __file__, "--farm", NOBODY, "--require", "lab"],
            2,
            "--require 'lab': expected K=V",
        ),
        (["worker", "--farm", NOBODY, "--label", "=x"], 2, "--label '=x': expected KEY=VALUE"),
        (
            ["worker", "--farm", NOBODY, "--label", "a=1", "--label", "a=2"],
            2,
            "--label: a is given twice",
        ),
        (["worker", "--farm", NOBODY, "--runtime", "fast=/p"], 2, "a runtime is named tflite-VERSION"),
    ],
)
def test_a_mistake_gives_one_clear_line_and_an_exit_code(arguments, code, message):
    result = device_farm(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_an_infeasible_model_shows_the_interpreters_words(local_farm, tmp_path):
    path = tmp_path / "wrong.tflite"
    path.write_bytes(add_model(custom_operator="NoSuchOp"))
    result = device_farm("measure", str(path), "--farm", local_farm.address)
    assert (result.returncode, result.stdout) == (1, "")
    expected = "error: tflite-2.14.0 on bench: Encountered unresolved custom op: NoSuchOp"
    assert result.stderr.startswith(expected)
    assert "Traceback" not in result.stderr


def test_a_target_that_nothing_satisfies_exits_with_what_the_farm_has(local_farm, model_file):
    options = ["--require", "soc=bcm2711,runtime=tflite-2.5.0", "--wait", "0"]
    result = device_farm("measure", str(model_file), "--farm", local_farm.address, *options)
    assert result.returncode == 1
    assert result.stderr.startswith("error: no device satisfied soc=bcm2711, runtime tflite-2.5.0, 1 thread")
    assert "the farm has bench (" in result.stderr


@pytest.fixture
def serving(tmp_path):
    command = [sys.executable, "-m", "device_farm", "serve", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--state", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first, second = process.stdout.readline(), process.stdout.readline()
    address = re.search(r"127\.0\.0\.1:\d+", first)[0]
    assert second == f"Next, on this machine: device-farm worker --farm {address}\n"
    yield process, address, tmp_path
    process.kill()
    process.communicate()


def test_an_empty_farm_says_what_to_do(serving):
    _, address, _ = serving
    result = device_farm("devices", "--farm", address)
    assert result.stdout == (
        f"No device is registered with {address}.\n"
        f"Start a worker on one: device-farm worker --farm {address}\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly_on_a_signal(serving, number):
    process, _, _ = serving
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_a_port_or_a_state_folder_that_is_taken_is_refused(serving, tmp_path_factory):
    _, address, state = serving
    port_taken = device_farm("serve", "--listen", address, "--state", str(tmp_path_factory.mktemp("other")))
    assert (port_taken.returncode, port_taken.stderr) == (
        1,
        f"error: cannot listen on {address}: Address already in use\n",
    )
    state_taken = device_farm("serve", "--listen", "127.0.0.1:0", "--state", str(state))
    assert state_taken.returncode == 2
    assert f"{state} is in use by another process" in state_taken.stderr


def test_every_command_explains_itself():
    for command in ("serve", "worker", "devices", "measure"):
        result = device_farm(command, "--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert f"device-farm {command}" in result.stdout
        assert "--ready-fd" not in result.stdout
