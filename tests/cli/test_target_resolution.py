"""Which device class and runtime a target means on a farm."""

from dataclasses import replace

import pytest

from device_farm.types import Device, Runtime, Target
from sweep.engine.farm import is_here
from sweep.engine.settings import ResolvedTarget, difference
from sweep.engine.target import TargetError, matches, resolve_target
from sweep.space import InferenceSetting

TFLITE = Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack"))
OLD = Runtime("tflite-2.5.0", "2.5.0", ("none",))
PI = Device(
    device_id="1",
    name="pi",
    device_class="raspberrypi-4b",
    labels={"soc": "bcm2711", "room": "lab"},
    facts={},
    runtimes=(OLD, TFLITE),
    state="idle",
)
SERVER = Device("2", "server", "x86_64 AMD EPYC", {"arch": "x86_64"}, {}, (TFLITE,), "busy")


def test_the_only_class_and_the_first_runtime_that_fits_are_taken() -> None:
    target = Target()
    resolved = resolve_target(target, [PI])
    assert resolved == ResolvedTarget(target, "raspberrypi-4b", "tflite-2.14.0", emulated=False)
    assert resolved.exact == Target({}, "tflite-2.14.0", 1, "xnnpack")


def test_the_runtime_asked_for_is_kept() -> None:
    assert resolve_target(Target(runtime="tflite-2.5.0", delegate="none"), [PI]).runtime == "tflite-2.5.0"
    assert resolve_target(Target(delegate="none"), [PI]).runtime == "tflite-2.5.0"


def test_a_runtime_must_offer_every_delegate_that_is_tried() -> None:
    target = Target(delegate="none")
    assert resolve_target(target, [PI], ("none", "xnnpack")).runtime == "tflite-2.14.0"
    with pytest.raises(TargetError, match="delegate none and xnnpack; it has: pi"):
        resolve_target(Target(runtime="tflite-2.5.0", delegate="none"), [PI], ("none", "xnnpack"))
    resolved = resolve_target(target, [PI], ("xnnpack",))
    assert resolved.at(InferenceSetting(4, "xnnpack")) == Target({}, "tflite-2.14.0", 4, "xnnpack")


def test_several_classes_are_refused_until_labels_leave_one() -> None:
    with pytest.raises(TargetError) as caught:
        resolve_target(Target(), [PI, SERVER])
    assert str(caught.value) == (
        "devices of several classes offer any labels, any runtime, delegate xnnpack: raspberrypi-4b; "
        "x86_64 AMD EPYC. Latencies of different classes do not compare: add labels to the target until one "
        "class is left"
    )
    assert resolve_target(Target({"soc": "bcm2711"}), [PI, SERVER]).device_class == "raspberrypi-4b"


@pytest.mark.parametrize(
    "change", [{"state": "offline"}, {"standing": "draining"}, {"standing": "quarantined"}]
)
def test_devices_that_take_no_jobs_are_ignored(change: dict[str, str]) -> None:
    unfit = replace(PI, **change)
    assert resolve_target(Target(), [unfit, SERVER]).device_class == "x86_64 AMD EPYC"
    with pytest.raises(TargetError, match="it has: no device that takes jobs"):
        resolve_target(Target(), [unfit])


def test_several_devices_of_one_class_are_fine_and_one_emulated_one_marks_them() -> None:
    twin = replace(PI, device_id="3", name="twin", emulated=True)
    assert resolve_target(Target(), [PI, twin]).emulated is True


def test_a_target_that_nothing_offers_is_answered_with_what_there_is() -> None:
    with pytest.raises(TargetError) as caught:
        resolve_target(Target({"soc": "bcm2712"}, runtime="tflite-9", delegate="none"), [PI, SERVER])
    assert str(caught.value) == (
        "no device on the farm offers soc=bcm2712, runtime tflite-9, delegate none; it has: "
        "pi (tflite-2.5.0, tflite-2.14.0); server (tflite-2.14.0)"
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(), True),
        (Target({"soc": "bcm2711", "room": "lab"}), True),
        (Target({"soc": "bcm2711", "room": "hall"}), False),
        (Target({"missing": ""}), False),
        (Target(runtime="tflite-2.5.0"), False),  # it has no xnnpack there
        (Target(runtime="tflite-2.5.0", delegate="none"), True),
    ],
)
def test_labels_runtime_and_delegate_must_all_match(target: Target, expected: bool) -> None:
    assert matches(PI, target) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:50051", True),
        ("127.3.2.1:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("10.0.0.7:50051", False),
        ("[fe80::1]:50051", False),
        ("farm.example:50051", False),
    ],
)
def test_loopback_addresses_are_told_apart(address: str, expected: bool) -> None:
    assert is_here(address) is expected


def test_identities_differ_by_the_keys_whose_values_do() -> None:
    assert difference({"data": "demo-1", "epochs": 6}, {"epochs": 6, "data": "demo-1"}) == []
    assert difference({"data": "demo-1", "epochs": 6}, {"data": "rooms", "target": "pi", "epochs": 6}) == [
        "data: 'demo-1' then, 'rooms' now",
        "target: None then, 'pi' now",
    ]
