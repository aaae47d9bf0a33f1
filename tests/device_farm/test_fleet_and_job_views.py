"""The fleet and its jobs as people read them, on screens of several widths."""

import time
from dataclasses import replace

import pytest
from farm_screens import console, screen

from device_farm.cli.fleet_commands import find_device
from device_farm.cli.fleet_view import fleet
from device_farm.cli.job_view import job_story, job_table
from device_farm.types import Device, JobRecord, NoSuchDevice, Reference, Runtime, StoryEntry, Target

FARM = "127.0.0.1:50051"
SUBMITTED_AT = 1_660_000_000.0  # 2022-08-08 23:06:40 UTC

PI = Device(
    device_id="3f2a1b9c" + "0" * 24,
    name="pi-01",
    device_class="raspberrypi-4b",
    labels={"soc": "bcm2711", "rack": "a"},
    facts={"cores": "4"},
    runtimes=(
        Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack")),
        Runtime("tflite-2.5.0", "2.5.0", ("none",)),
    ),
    state="busy",
    references={
        "tflite-2.14.0/xnnpack": Reference(2.1, 2.1, 1.031),
        "tflite-2.5.0/none": Reference(4.0, 4.1, 0.99),
    },
)
DESK = Device(
    device_id="a0" * 16,
    name="desk",
    device_class="x86_64 Some CPU",
    labels={},
    facts={},
    runtimes=(Runtime("tflite-2.14.0", "2.14.0", ("xnnpack",)),),
    state="offline",
    emulated=True,
    standing="quarantined",
    standing_reason="3 tainted jobs in a row",
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(devices: tuple[Device, ...], width: int) -> list[str]:
    return screen(fleet(devices, FARM, console(width), secured=False), width)


def test_a_wide_screen_has_one_line_for_each_device_and_reasons_below():
    assert shown((PI, DESK), 200) == [
        "ID        NAME   STATE    STANDING     CLASS                      CORES    SCALE      "
        "RUNTIMES                                            LABELS",
        "3f2a1b9c  pi-01  busy     active       raspberrypi-4b             4        0.99-1.03  "
        "tflite-2.14.0 (none, xnnpack), tflite-2.5.0 (none)  rack=a, soc=bcm2711",
        "a0a0a0a0  desk   offline  quarantined  x86_64 Some CPU, EMULATED  unknown  unknown    "
        "tflite-2.14.0 (xnnpack)",
        "desk is quarantined: 3 tainted jobs in a row",
    ]


def test_a_narrower_screen_has_the_columns_that_matter_from_day_to_day():
    assert shown((PI, DESK), 95) == [
        "NAME   STATE    STANDING     CLASS                      CORES    SCALE      RUNTIMES",
        "pi-01  busy     active       raspberrypi-4b             4        0.99-1.03  tflite-2.14.0",
        "                                                                            tflite-2.5.0",
        "desk   offline  quarantined  x86_64 Some CPU, EMULATED  unknown  unknown    tflite-2.14.0",
        "desk is quarantined: 3 tainted jobs in a row",
    ]


def test_runtimes_share_a_line_where_there_is_room():
    assert shown((PI, DESK), 110)[1].endswith("0.99-1.03  tflite-2.14.0, tflite-2.5.0")


def test_a_screen_too_narrow_for_columns_has_a_paragraph_for_each_device():
    assert shown((PI, DESK), 80) == [
        "pi-01  3f2a1b9c  busy, active",
        "  raspberrypi-4b, 4 cores, scale 0.99-1.03",
        "  tflite-2.14.0 (none, xnnpack), tflite-2.5.0 (none)",
        "  rack=a, soc=bcm2711",
        "desk  a0a0a0a0  offline, quarantined: 3 tainted jobs in a row",
        "  x86_64 Some CPU, EMULATED, cores unknown, scale unknown",
        "  tflite-2.14.0 (xnnpack)",
        "",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200, 1000])
def test_nothing_is_cut_off_whatever_the_width(width):
    lines = shown((PI, DESK), width)
    words = " ".join(lines).split()
    assert max(map(len, lines)) <= width
    for word in ("pi-01", "desk", "busy,", "offline,", "quarantined:"):
        assert word in words or word.rstrip(",:") in words
    assert "3 tainted jobs in a row" in " ".join(words)


@pytest.mark.parametrize(
    ("secured", "command"),
    [
        (False, "device-farm worker --farm 127.0.0.1:50051"),
        (True, "device-farm worker --farm 127.0.0.1:50051 --credentials worker.json"),
    ],
)
def test_an_empty_fleet_names_the_next_command(secured, command):
    assert screen(fleet((), FARM, console(120), secured=secured)) == [
        f"No device is registered with {FARM}.",
        f"Start a worker on one: {command}",
    ]


TWIN = replace(PI, device_id="3f2a" + "1" * 28)


@pytest.mark.parametrize("text", ["desk", "a0" * 16, "a0", "a0a0a0a"])
def test_a_device_is_found_by_its_name_its_id_or_the_beginning_of_its_id(text):
    assert find_device((PI, TWIN, DESK), text) is DESK


def test_a_name_goes_before_the_beginning_of_an_id():
    called_a0 = replace(PI, name="a0")
    assert find_device((DESK, called_a0), "a0") is called_a0


@pytest.mark.parametrize("text", ["pi-01", "3f2a"])
def test_a_device_that_may_be_another_one_is_not_guessed(text):
    with pytest.raises(
        ValueError, match=r"may be pi-01 \(3f2a1b9c\), pi-01 \(3f2a1111\); give more of the id"
    ):
        find_device((PI, TWIN, DESK), text)


@pytest.mark.parametrize("text", ["pi", "", "b0"])
def test_an_unknown_device_is_told_with_those_that_there_are(text):
    with pytest.raises(NoSuchDevice, match=rf"'{text}'; the farm has desk \(a0a0a0a0\)$"):
        find_device((DESK,), text)


STORY = (
    StoryEntry(SUBMITTED_AT, "submitted"),
    StoryEntry(SUBMITTED_AT + 0.5, "leased to pi-01"),
    StoryEntry(SUBMITTED_AT + 12.25, "measured: 50.41 ms"),
)
MEASURED = JobRecord(
    job_id="1a11bb22" * 4,
    state="measured",
    submitted_at=SUBMITTED_AT,
    model_sha256="cd" * 32,
    target=Target({"soc": "bcm2711"}, "tflite-2.5.0", 4, "none"),
    priority=5,
    latency_ms=50.412,
    message="",
    story=STORY,
)
REJECTED = replace(
    MEASURED,
    job_id="2b22cc33" * 4,
    state="infeasible",
    target=Target(),
    priority=0,
    latency_ms=None,
    message="pi-01: no such op\nRegistration failed.\n",
    story=(),
)
RUNNING = replace(REJECTED, job_id="3c33dd44" * 4, state="running", message="")


def test_jobs_are_one_line_each_with_the_first_line_of_what_went_wrong():
    assert screen(job_table((RUNNING, MEASURED, REJECTED), SUBMITTED_AT + 180)) == [
        "ID        AGE    STATE       MODEL     RESULT             TARGET",
        "3c33dd44  3 min  running     cdcdcdcd                     1 thread, delegate xnnpack",
        "1a11bb22  3 min  measured    cdcdcdcd  50.41 ms           "
        "soc=bcm2711, runtime tflite-2.5.0, 4 threads, delegate none",
        "2b22cc33  3 min  infeasible  cdcdcdcd  pi-01: no such op  1 thread, delegate xnnpack",
    ]


def test_a_jobs_story_has_every_entry_with_its_time():
    assert screen(job_story(MEASURED), 80) == [
        f"job        {MEASURED.job_id}",
        "state      measured",
        "result     50.41 ms",
        "model      sha256",
        f"           {'cd' * 32}",
        "target     soc=bcm2711, runtime tflite-2.5.0, 4 threads, delegate none",
        "priority   5",
        "submitted  2022-08-08 23:06:40",
        "",
        "2022-08-08 23:06:40   +0.000 s  submitted",
        "2022-08-08 23:06:40   +0.500 s  leased to pi-01",
        "2022-08-08 23:06:52  +12.250 s  measured: 50.41 ms",
    ]


def test_a_jobs_story_has_the_whole_message():
    lines = screen(job_story(REJECTED), 80)
    assert lines[2:4] == ["result     pi-01: no such op", "           Registration failed."]


def test_a_farm_without_jobs_says_so():
    assert screen(job_table((), SUBMITTED_AT)) == ["No job was submitted to this farm yet."]
