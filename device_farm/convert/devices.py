"""Devices, their registrations, and orders about them."""

from collections.abc import Iterable

from device_farm.convert.words import one_of
from device_farm.jobs import DEVICE_ACTIONS, DeviceOrder, Registration
from device_farm.rpc import farm_pb2 as pb
from device_farm.types import DELEGATES, DEVICE_STATES, STANDINGS, Device, Reference, Runtime


def registration_to_wire(registration: Registration) -> pb.Registration:
    return pb.Registration(
        device_id=registration.device_id,
        name=registration.name,
        device_class=registration.device_class,
        labels=dict(registration.labels),
        facts=dict(registration.facts),
        runtimes=[
            pb.Runtime(name=runtime.name, version=runtime.version, delegates=runtime.delegates)
            for runtime in registration.runtimes
        ],
        emulated=registration.emulated,
        profile=registration.profile,
        references_ms={key: pb.Numbers(values=times) for key, times in registration.references_ms.items()},
    )


def registration_from_wire(message: pb.Registration) -> Registration:
    return Registration(
        device_id=message.device_id,
        name=message.name,
        device_class=message.device_class,
        labels=dict(message.labels),
        facts=dict(message.facts),
        runtimes=tuple(
            Runtime(
                runtime.name,
                runtime.version,
                tuple(one_of(DELEGATES, name, "delegate") for name in runtime.delegates),
            )
            for runtime in message.runtimes
        ),
        emulated=message.emulated,
        profile=message.profile,
        references_ms={key: tuple(times.values) for key, times in message.references_ms.items()},
    )


def registration_to_bytes(registration: Registration) -> bytes:
    """The registration as the coordinator keeps it."""
    return registration_to_wire(registration).SerializeToString()


def registration_from_bytes(data: bytes) -> Registration:
    return registration_from_wire(pb.Registration.FromString(data))


def devices_to_wire(devices: Iterable[Device]) -> pb.ListDevicesResponse:
    return pb.ListDevicesResponse(devices=[_device_to_wire(device) for device in devices])


def devices_from_wire(message: pb.ListDevicesResponse) -> tuple[Device, ...]:
    return tuple(_device_from_wire(device) for device in message.devices)


def _device_to_wire(device: Device) -> pb.Device:
    registration = Registration(
        device_id=device.device_id,
        name=device.name,
        device_class=device.device_class,
        labels=device.labels,
        facts=device.facts,
        runtimes=device.runtimes,
        emulated=device.emulated,
        profile=device.profile,
    )
    return pb.Device(
        registration=registration_to_wire(registration),
        state=device.state,
        standing=device.standing,
        standing_reason=device.standing_reason,
        references={key: pb.Reference(**vars(entry)) for key, entry in device.references.items()},
    )


def _device_from_wire(message: pb.Device) -> Device:
    known = registration_from_wire(message.registration)
    return Device(
        device_id=known.device_id,
        name=known.name,
        device_class=known.device_class,
        labels=known.labels,
        facts=known.facts,
        runtimes=known.runtimes,
        state=one_of(DEVICE_STATES, message.state, "device state"),
        emulated=known.emulated,
        profile=known.profile,
        standing=one_of(STANDINGS, message.standing, "standing"),
        standing_reason=message.standing_reason,
        references={
            key: Reference(entry.baseline_ms, entry.recent_ms, entry.scale)
            for key, entry in sorted(message.references.items())
        },
    )


def order_to_wire(order: DeviceOrder) -> pb.DeviceOrder:
    return pb.DeviceOrder(**vars(order))


def order_from_wire(message: pb.DeviceOrder) -> DeviceOrder:
    action = one_of(DEVICE_ACTIONS, message.action, "action")
    return DeviceOrder(message.device, action, message.reason, message.recalibrate)
