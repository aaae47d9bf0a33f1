"""The device-farm command as a person or script meets it."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
from farm_models import add_model
from farm_reports import introduction, report

from device_farm.cli import main
from device_farm.client import FarmClient
from device_farm.credentials import CREDENTIALS_VARIABLE
from device_farm.jobs import LeaseResult
from device_farm.local import LocalFarm
from device_farm.types import Measurement, OperatorTime

NOBODY = "127.0.0.1:1"  # an address where nothing listens
STEADY = (49.9, 50.0, 50.1) * 40  # milliseconds
HELD_BACK = ("--require", "room=moon", "--wait", "100", "--detach")  # a job that no device takes


class Result(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_farm_in_the_environment(monkeypatch):
    monkeypatch.delenv("DEVICE_FARM", raising=False)
    monkeypatch.delenv(CREDENTIALS_VARIABLE, raising=False)


@pytest.fixture
def device_farm(monkeypatch, capsys) -> Command:
    """Runs the command in this process."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["device-farm", *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the library replaces it
        with pytest.raises(SystemExit) as ending:
            main()
        return Result(ending.value.code or 0, *capsys.readouterr())

    return run


def start(*arguments: str) -> subprocess.Popen[str]:
    """Starts the command as a process of its own."""
    command = [sys.executable, "-m", "device_farm", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("models") / "model.tflite"
    path.write_bytes(add_model())
    return str(path)


# Measuring


def test_measure_prints_the_latency_first_and_what_it_is_worth(local_farm, model_file, device_farm):
    code, out, err = device_farm("measure", model_file, "--farm", local_farm.address, "--require", "room=lab")
    assert (code, err) == (0, "")
    assert re.match(r"[\d.]+ ms +(\([\d.]+ to [\d.]+, 95 %\)|UNSTABLE)", out)
    assert re.search(rf"^model +{re.escape(model_file)} \(sha256 [0-9a-f]{{12}}\)$", out, re.MULTILINE)
    assert re.search(r"^device +bench \(", out, re.MULTILINE)
    assert re.search(r"^runtime +tflite-2\.14\.0, 1 thread, delegate xnnpack$", out, re.MULTILINE)
    assert re.search(r"^samples +\d+ invocations after \d+ of warm-up, worth \d+ ", out, re.MULTILINE)
    assert re.search(r"^peak memory +[\d.]+ MB$", out, re.MULTILINE)


def test_measure_prints_json_that_is_the_whole_measurement_and_nothing_else(
    local_farm, client, model_file, device_farm
):
    options = ["--json", "--fresh", "--threads", "2", "--delegate", "none", "--runtime", "tflite-2.14.0"]
    code, out, err = device_farm("measure", model_file, "--farm", local_farm.address, *options)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {"model", *(entry.name for entry in fields(Measurement))}
    (job,) = client.jobs(1)
    assert (found["model"], found["cached"], found["latency_ms"]) == (model_file, False, job.latency_ms)
    assert (found["threads"], found["delegate"], found["device_name"]) == (2, "none", "bench")


def answer_one_lease(worker, **changes) -> threading.Thread:
    """Lets the scripted worker answer the next job with steady samples."""

    def answer() -> None:
        lease = worker.receive_lease()
        found = report(STEADY, model_sha256=lease.job.model_sha256, warmup_ms=(60.0,), **changes)
        worker.send(LeaseResult(lease.token, found))

    answering = threading.Thread(target=answer, daemon=True)
    answering.start()
    return answering


def test_an_answer_is_given_again_until_a_fresh_one_is_asked_for(
    coordinator, scripted_worker, model_file, device_farm
):
    command = ["measure", model_file, "--farm", coordinator.address]
    answering = answer_one_lease(scripted_worker)
    first = json.loads(device_farm(*command, "--json").out)
    answering.join()
    assert (first["cached"], first["latency_ms"], first["samples_ms"]) == (False, 50.0, list(STEADY))
    assert json.loads(device_farm(*command, "--json").out) == {**first, "cached": True}
    headline = device_farm(*command).out.splitlines()[0]
    assert re.fullmatch(r"50\.0\d* ms \(.*, 95 %\)  \(cached: measured \S+ \S+\)", headline)
    answering = answer_one_lease(scripted_worker)
    assert json.loads(device_farm(*command, "--json", "--fresh").out)["cached"] is False
    answering.join()


def test_operator_times_are_a_table_below_the_measurement(
    coordinator, scripted_worker, model_file, device_farm
):
    operators = (OperatorTime(0, "CONV_2D", "stem", 30.0), OperatorTime(1, "ADD", "sum", 10.0))
    answering = answer_one_lease(scripted_worker, operators=operators)
    code, out, _ = device_farm("measure", model_file, "--farm", coordinator.address, "--profile")
    answering.join()
    assert code == 0
    assert out.splitlines()[-4:] == [
        "OPERATOR         TIME    SHARE  OUTPUT",
        "#0 CONV_2D  30.000 ms   75.0 %  stem",
        "#1 ADD      10.000 ms   25.0 %  sum",
        "all 2       40.000 ms  100.0 %  80 % of the latency",
    ]


def test_an_infeasible_model_shows_the_interpreters_words(local_farm, tmp_path, device_farm):
    path = tmp_path / "wrong.tflite"
    path.write_bytes(add_model(custom_operator="NoSuchOp"))
    code, out, err = device_farm("measure", str(path), "--farm", local_farm.address)
    assert (code, out) == (1, "")
    assert err.startswith("error: tflite-2.14.0 on bench: ")
    assert "Encountered unresolved custom op: NoSuchOp" in err
    assert "Traceback" not in err


def test_a_target_that_nothing_satisfies_exits_with_what_the_farm_has(local_farm, model_file, device_farm):
    options = ["--require", "soc=bcm2711,runtime=tflite-2.5.0", "--wait", "0"]
    code, out, err = device_farm("measure", model_file, "--farm", local_farm.address, *options)
    assert (code, out) == (1, "")
    assert err.startswith("error: no device satisfied soc=bcm2711, runtime tflite-2.5.0, 1 thread")
    assert "the farm has bench (" in err


def test_ctrl_c_ends_the_job_that_is_waited_for(coordinator, model_file):
    waiting = start("measure", model_file, "--farm", coordinator.address, *HELD_BACK[:-1])
    with FarmClient(coordinator.address) as client:
        while not client.jobs():
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        assert waiting.communicate(timeout=30) == ("", "interrupted\n")
        assert waiting.returncode == 130
        assert [record.state for record in client.jobs()] == ["cancelled"]


# Jobs


def test_a_detached_job_is_found_again_by_the_beginning_of_its_id(coordinator, model_file, device_farm):
    farm = ("--farm", coordinator.address)
    code, out, err = device_farm("measure", model_file, *farm, *HELD_BACK, "--priority", "-7")
    job_id = out.strip()
    assert (code, err, out) == (0, "", f"{job_id}\n")
    told = json.loads(device_farm("job", job_id[:6], *farm, "--json").out)
    assert (told["job_id"], told["state"], told["priority"]) == (job_id, "queued", -7)
    assert told["target"] == {"labels": {"room": "moon"}, "runtime": "", "threads": 1, "delegate": "xnnpack"}
    lines = device_farm("job", job_id[:6], *farm).out.splitlines()
    assert lines[:2] == [f"job        {job_id}", "state      queued"]
    assert lines[-len(told["story"]) :][0].endswith(told["story"][0]["text"])


def test_a_detached_job_in_json_is_its_id(coordinator, model_file, device_farm):
    farm = ("--farm", coordinator.address)
    told = json.loads(device_farm("measure", model_file, *farm, *HELD_BACK, "--json").out)
    listed = json.loads(device_farm("jobs", *farm, "--json").out)
    assert told == {"job_id": listed[0]["job_id"]}


def test_jobs_are_listed_newest_first_up_to_a_limit(coordinator, model_file, device_farm):
    farm = ("--farm", coordinator.address)
    ids = [device_farm("measure", model_file, *farm, *HELD_BACK).out.strip() for _ in range(3)]
    header, *rows = device_farm("jobs", *farm, "--limit", "2").out.splitlines()
    assert header.split() == ["ID", "AGE", "STATE", "MODEL", "RESULT", "TARGET"]
    assert [row.split()[0] for row in rows] == [ids[2][:8], ids[1][:8]]


def test_a_cancelled_job_says_why_and_cannot_be_cancelled_again(coordinator, model_file, device_farm):
    farm = ("--farm", coordinator.address)
    job_id = device_farm("measure", model_file, *farm, *HELD_BACK).out.strip()
    first = device_farm("cancel", job_id[:8], *farm, "--reason", "no longer wanted")
    again = device_farm("cancel", job_id, *farm)
    assert first == (0, f"job {job_id} is cancelled\n", "")
    assert again == (0, f"job {job_id} had already ended: cancelled\n", "")
    told = json.loads(device_farm("job", job_id, *farm, "--json").out)
    assert (told["state"], told["message"]) == ("cancelled", "no longer wanted")


def test_an_unknown_job_is_an_error(coordinator, device_farm):
    assert device_farm("job", "zzz", "--farm", coordinator.address) == (
        1,
        "",
        "error: no job begins with 'zzz'\n",
    )


# The fleet


def test_devices_lists_the_fleet_for_people_and_programs(local_farm, device_farm):
    header, first, *_ = device_farm("devices", "--farm", local_farm.address).out.splitlines()
    assert header.split() == [
        *("ID", "NAME", "STATE", "STANDING", "CLASS", "CORES", "SCALE", "RUNTIMES", "LABELS")
    ]
    (device,) = json.loads(device_farm("devices", "--farm", local_farm.address, "--json").out)
    assert first.split()[:4] == [device["device_id"][:8], "bench", device["state"], "active"]
    assert device["labels"]["room"] == "lab"


def test_the_farms_address_may_be_in_the_environment(coordinator, device_farm, monkeypatch):
    monkeypatch.setenv("DEVICE_FARM", coordinator.address)
    assert device_farm("devices", "--json") == (0, "[]\n", "")
    assert device_farm("devices", "--farm", NOBODY).code == 1


def test_an_empty_farm_says_what_to_do(coordinator, device_farm):
    assert device_farm("devices", "--farm", coordinator.address).out == (
        f"No device is registered with {coordinator.address}.\n"
        f"Start a worker on one: device-farm worker --farm {coordinator.address}\n"
    )


def test_a_device_is_drained_resumed_quarantined_and_removed(coordinator, scripted_worker, device_farm):
    farm = ("--farm", coordinator.address)
    registration = scripted_worker.introduction.registration

    def standing() -> tuple[str, str]:
        (device,) = json.loads(device_farm("devices", *farm, "--json").out)
        return device["standing"], device["standing_reason"]

    assert device_farm("drain", registration.name, *farm, "--reason", "new card").code == 0
    assert standing() == ("draining", "new card")
    assert device_farm("resume", registration.device_id[:6], *farm, "--recalibrate").code == 0
    assert standing() == ("active", "")
    code, out, err = device_farm("quarantine", registration.device_id, *farm, "--reason", "burnt")
    assert (code, err) == (0, "")
    assert out.startswith(f"{registration.name} is quarantined")
    assert standing() == ("quarantined", "burnt")
    assert device_farm("remove", registration.name, *farm) == (
        1,
        "",
        f"error: {registration.name} is connected: stop its worker first, then remove it\n",
    )


def test_an_order_for_an_unknown_device_names_those_that_there_are(coordinator, scripted_worker, device_farm):
    registration = scripted_worker.introduction.registration
    listed = f"{registration.name} ({registration.device_id[:8]})"
    assert device_farm("drain", "ghost", "--farm", coordinator.address) == (
        1,
        "",
        f"error: no device has the name or id 'ghost'; the farm has {listed}\n",
    )


def test_watch_prints_each_change_until_ctrl_c(coordinator, connect_worker):
    watching = start("devices", "--farm", coordinator.address, "--watch", "--json")
    try:
        assert json.loads(watching.stdout.readline()) == []
        worker = connect_worker(introduction())
        (device,) = json.loads(watching.stdout.readline())
        assert (device["name"], device["state"]) == (worker.introduction.registration.name, "idle")
        worker.close()
        (device,) = json.loads(watching.stdout.readline())
        assert device["state"] == "offline"
        watching.send_signal(signal.SIGINT)
        assert (watching.communicate(timeout=30), watching.returncode) == (("", ""), 0)
    finally:
        watching.kill()


def test_watch_survives_a_coordinator_that_goes_away(tmp_path, make_coordinator):
    with make_coordinator(tmp_path) as coordinator:
        watching = start("devices", "--farm", coordinator.address, "--watch")
        assert coordinator.address in watching.stdout.readline()
    try:
        assert watching.stderr.readline() == (
            f"no farm answers at {coordinator.address}: Connection refused; trying again\n"
        )
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)
        assert watching.returncode == 0
    finally:
        watching.kill()


# Doctor


def test_doctor_checks_this_machine_and_the_way_to_the_farm(coordinator, tmp_path, device_farm):
    options = ["--farm", coordinator.address, "--state", str(tmp_path), "--profile", "generic", "--json"]
    code, out, _ = device_farm("doctor", *options)
    told = json.loads(out)
    assert code == (0 if told["fit"] else 1)
    found = {check["subject"]: check for check in told["checks"]}
    assert found["runtime"]["found"].startswith("tflite-2.14.0 with none, xnnpack in ")
    assert found["coordinator"] == {
        "subject": "coordinator",
        "verdict": "ok",
        "found": f"{coordinator.address} lets a worker in",
        "advice": "",
    }


def test_doctor_exits_with_1_if_there_is_a_problem(tmp_path, device_farm):
    code, out, _ = device_farm("doctor", "--farm", NOBODY, "--state", str(tmp_path))
    assert code == 1
    assert re.search(r"^problem +coordinator +no farm answers at 127\.0\.0\.1:1", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith("This board should not join yet: ")


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["serve", "--listen", "here"], 2, "--listen: address 'here': expected HOST:PORT, such as"),
        (["serve", "--tls-cert", "c"], 2, "--tls-cert and --tls-key belong together: give both or none"),
        (["serve", "--tls-cert", "/no/c", "--tls-key", "/no/k"], 2, "/no/c: No such file or directory"),
        (["devices", "--farm", NOBODY], 1, "no farm answers at 127.0.0.1:1: Connection refused"),
        (["devices", "--farm", NOBODY, "--watch"], 1, "no farm answers at 127.0.0.1:1: Connection refused"),
        (["devices", "--farm", "nowhere"], 2, "--farm: address 'nowhere': expected HOST:PORT"),
        (
            ["devices", "--farm", "192.0.2.1:5"],
            2,
            "192.0.2.1:5 is on another machine, so the connection must",
        ),
        (["devices", "--farm", NOBODY, "--credentials", "/no"], 2, "/no: No such file or directory"),
        (["devices"], 2, "missing option '--farm' (env var: 'DEVICE_FARM')"),
        (["jobs", "--farm", NOBODY, "--limit", "0"], 2, "--limit '0': allowed are whole numbers from 1 to"),
        (["job", " ", "--farm", NOBODY], 2, "ID ' ': expected something other than blanks"),
        (["measure", "/no/such.tflite", "--farm", NOBODY], 2, "/no/such.tflite: no such file"),
        (["measure", "/", "--farm", NOBODY], 2, "/: a folder, not a file"),
        (["measure", __file__, "--farm", NOBODY], 2, f"{__file__}: not a TFLite file"),
        (
            ["measure", "m", "--farm", NOBODY, "--wait", "-1"],
            2,
            "--wait '-1': allowed are numbers of seconds",
        ),
        (["measure", "m", "--farm", NOBODY, "--timeout", "nan"], 2, "--timeout 'nan': allowed are numbers"),
        (["measure", "m", "--farm", NOBODY, "--timeout", "9", "--detach"], 2, "--timeout says how long"),
        (["measure", "m", "--farm", NOBODY, "--threads", "0"], 2, "--threads '0': allowed are whole numbers"),
        (["measure", "m", "--farm", NOBODY, "--threads", "two"], 2, "--threads 'two': allowed are whole"),
        (["measure", "m", "--farm", NOBODY, "--priority", "high"], 2, "--priority 'high': allowed are whole"),
        (["measure", "m", "--farm", NOBODY, "--interval", "0"], 2, "--interval '0': allowed are numbers of"),
        (["measure", "m", "--farm", NOBODY, "--budget", "inf"], 2, "--budget 'inf': allowed are numbers of"),
        (["measure", "m", "--farm", NOBODY, "--delegate", "gpu"], 2, "--delegate 'gpu': allowed are none, x"),
        (["measure", "m", "--farm", NOBODY, "--require", "lab"], 2, "--require 'lab': expected K=V"),
        (["measure", "--farm", NOBODY], 2, "missing argument 'MODEL.tflite'"),
        (["worker", "--farm", NOBODY, "--label", "=x"], 2, "--label '=x': expected KEY=VALUE"),
        (["worker", "--farm", NOBODY, "--label", "a=1", "--label", "a=2"], 2, "--label: a is given twice"),
        (["worker", "--farm", NOBODY, "--runtime", "fast=/p"], 2, "a runtime is named tflite-VERSION"),
        (["worker", "--farm", NOBODY, "--profile", "pi"], 2, "--profile 'pi': allowed are rpi4, generic"),
        (["worker", "--farm", "192.0.2.1:5"], 2, "192.0.2.1:5 is on another machine, so the connection must"),
        (["doctor", "--profile", "pi"], 2, "--profile 'pi': allowed are rpi4, generic"),
        (["doctor", "--farm", "nowhere"], 2, "--farm: address 'nowhere': expected HOST:PORT"),
        (["doctor", "--runtime", "fast=/p"], 2, "a runtime is named tflite-VERSION"),
        (["measur"], 2, "no such command 'measur'"),
        (["devices", "--colour"], 2, "no such option: --colour"),
    ],
)
def test_a_mistake_gives_one_clear_line_and_an_exit_code(arguments, code, message, device_farm):
    result = device_farm(*arguments)
    assert (result.code, result.out) == (code, "")
    (line,) = result.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_without_a_command_the_commands_are_listed(device_farm):
    code, out, err = device_farm()
    assert (code, err) == (2, "")
    listed = re.findall(r"^  ([a-z]+)  ", out.partition("Commands:")[2], re.MULTILINE)
    assert listed == [
        *("serve", "worker", "doctor", "devices", "drain", "resume", "quarantine", "remove"),
        *("measure", "job", "jobs", "cancel"),
    ]
    for command in listed:
        code, out, err = device_farm(command, "--help")
        assert (code, err) == (0, "")
        assert f"device-farm {command}" in out
        assert "--ready-fd" not in out


# The coordinator as a process


class Serving(NamedTuple):
    process: subprocess.Popen[str]
    address: str
    state: Path
    said: list[str]


def serve(state: Path, lines: int, *options: str) -> Serving:
    process = start("serve", "--listen", "127.0.0.1:0", "--state", str(state), *options)
    said = [process.stdout.readline() for _ in range(lines)]
    return Serving(process, re.search(r"127\.0\.0\.1:\d+", said[0])[0], state, said)


@pytest.fixture
def serving(tmp_path) -> Iterator[Serving]:
    started = serve(tmp_path, 3)
    yield started
    started.process.kill()
    started.process.communicate()


def test_serve_says_where_it_is_and_what_to_do_next(serving):
    address = serving.address
    assert "".join(serving.said) == (
        f"Coordinator listening on {address}; state in {serving.state}. Ctrl-C stops it.\n"
        f"Next, on this machine: device-farm worker --farm {address}\n"
        f"Then: device-farm measure MODEL.tflite --farm {address}\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly_on_a_signal(serving, number):
    serving.process.send_signal(number)
    _, errors = serving.process.communicate(timeout=30)
    assert serving.process.returncode == 0
    assert "Traceback" not in errors


def test_a_port_or_a_state_folder_that_is_taken_is_refused(serving, tmp_path_factory, device_farm):
    elsewhere = str(tmp_path_factory.mktemp("other"))
    port_taken = device_farm("serve", "--listen", serving.address, "--state", elsewhere)
    assert (port_taken.code, port_taken.err) == (
        1,
        f"error: cannot listen on {serving.address}: Address already in use\n",
    )
    state_taken = device_farm("serve", "--listen", "127.0.0.1:0", "--state", str(serving.state))
    assert state_taken.code == 2
    assert f"{serving.state} is in use by another process" in state_taken.err


def test_with_tls_each_role_has_its_file_and_may_do_what_it_is_for(tmp_path, device_farm, monkeypatch):
    process, address, state, said = serve(tmp_path, 7, "--tls")
    try:
        folder = state / "credentials"
        assert said[1] == f"Connections are encrypted, and each role has a secret file in {folder}:\n"
        assert said[4] == f"  device-farm worker --farm {address} --credentials worker.json\n"
        assert said[6] == f"  device-farm measure MODEL.tflite --farm {address} --credentials user.json\n"
        farm = ("--farm", address, "--credentials")
        assert device_farm("devices", *farm, str(folder / "user.json")).out == (
            f"No device is registered with {address}.\n"
            f"Start a worker on one: device-farm worker --farm {address} --credentials worker.json\n"
        )
        refused = device_farm("devices", *farm, str(folder / "worker.json"))
        assert (refused.code, refused.out) == (1, "")
        assert "credentials of the role worker do not permit Farm.ListDevices" in refused.err
        assert "name a credentials file with --credentials" in device_farm("devices", "--farm", address).err
        monkeypatch.setenv(CREDENTIALS_VARIABLE, str(folder / "operator.json"))
        assert device_farm("devices", "--farm", address, "--json") == (0, "[]\n", "")
        told = json.loads(device_farm("doctor", "--farm", address, "--json", "--state", str(tmp_path)).out)
        found = {check["subject"]: check["found"] for check in told["checks"]}
        assert found["credentials"] == f"{folder / 'operator.json'} is for the role operator"
        assert "do not permit Fleet.DownloadModel: it takes the role worker" in found["coordinator"]
    finally:
        process.kill()
        process.communicate()


# A farm of this machine


def test_a_local_farm_is_not_led_astray_by_another_farm_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DEVICE_FARM", NOBODY)
    monkeypatch.setenv(CREDENTIALS_VARIABLE, "/no/such/file")
    with LocalFarm(tmp_path, name="here") as farm, FarmClient(farm.address) as client:
        assert [device.name for device in client.devices()] == ["here"]
