"""What a sweep measures on: finds the farm's devices for a target and pins their class and runtime."""

from collections.abc import Sequence

from device_farm.types import Delegate, Device, Target
from sweep.engine.settings import ResolvedTarget


class TargetError(Exception):
    """The farm has no device for the target, or several kinds of them."""


def resolve_target(
    target: Target, devices: Sequence[Device], delegates: Sequence[Delegate] = ()
) -> ResolvedTarget:
    """The one device class and runtime that ``target`` means on this farm.

    Args:
        target: what a sweep asks for.
        devices: what the farm has.
        delegates: further delegates that the runtime must offer.

    Raises:
        TargetError: no device matches, or devices of several classes do, so that latencies would not compare.
    """
    matching = matching_devices(target, devices, delegates)
    if not matching:
        online = [device for device in devices if takes_jobs(device)]
        wanted = describe(target, delegates)
        raise TargetError(f"no device on the farm offers {wanted}; it has: {_list(online)}")
    classes = sorted({device.device_class for device in matching})
    if len(classes) > 1:
        raise TargetError(
            f"devices of several classes offer {describe(target)}: {'; '.join(classes)}. Latencies of different "
            "classes do not compare: add labels to the target until one class is left"
        )
    return ResolvedTarget(
        asked=target,
        device_class=classes[0],
        runtime=target.runtime or _runtime(matching[0], target, delegates),
        emulated=any(device.emulated for device in matching),
    )


def matching_devices(
    target: Target, devices: Sequence[Device], delegates: Sequence[Delegate] = ()
) -> tuple[Device, ...]:
    """The devices that take jobs and offer the target, with further delegates of the same runtime."""
    return tuple(device for device in devices if takes_jobs(device) and matches(device, target, delegates))


def takes_jobs(device: Device) -> bool:
    """True if the device is connected and neither drained nor quarantined."""
    return device.state != "offline" and device.standing == "active"


def matches(device: Device, target: Target, delegates: Sequence[Delegate] = ()) -> bool:
    """True if the device carries the target's labels and offers its runtime with all of the delegates."""
    labelled = all(device.labels.get(key) == value for key, value in target.labels.items())
    return labelled and _runtime(device, target, delegates) != ""


def describe(target: Target, delegates: Sequence[Delegate] = ()) -> str:
    """The target in words, with further delegates if any."""
    labels = ", ".join(f"{key}={value}" for key, value in target.labels.items()) or "any labels"
    runtime = f"runtime {target.runtime}" if target.runtime else "any runtime"
    wanted = " and ".join(dict.fromkeys((target.delegate, *delegates)))
    return f"{labels}, {runtime}, delegate {wanted}"


def _runtime(device: Device, target: Target, delegates: Sequence[Delegate]) -> str:
    wanted = {target.delegate, *delegates}
    names = [
        runtime.name
        for runtime in device.runtimes
        if target.runtime in ("", runtime.name) and wanted <= set(runtime.delegates)
    ]
    return names[0] if names else ""


def _list(devices: Sequence[Device]) -> str:
    shown = [
        f"{device.name} ({', '.join(runtime.name for runtime in device.runtimes)})" for device in devices
    ]
    return "; ".join(shown) or "no device that takes jobs"
