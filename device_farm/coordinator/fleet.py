"""The devices that the farm knows: who is connected, who may get jobs, and how fast each one is."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from device_farm.coordinator.records import DeviceKnown
from device_farm.jobs import Introduction, Registration
from device_farm.measuring.drift import DriftState, scale
from device_farm.measuring.profiles import PROFILES, Profile
from device_farm.types import Device, DeviceState, NoSuchDevice, Reference, Standing

REMEMBERED_JOBS = 256  # the longest tainted window that can be traced back


@dataclass
class DeviceRecord:
    """One device. ``session`` is None while it is not connected; ``present`` while jobs may count on it."""

    registration: Registration
    standing: Standing = "active"
    standing_reason: str = ""
    baselines_ms: dict[str, float] = field(default_factory=dict)
    recent_ms: dict[str, float] = field(default_factory=dict)
    drift: DriftState = field(default_factory=DriftState)
    session: int | None = None
    incarnation: str = ""
    present: bool = True
    last_seen: float = 0.0  # heartbeat while connected, then the moment of leaving
    cool_until: float = 0.0
    token: int | None = None
    # The job of each bracket, newest last; None where the reference model was run for itself.
    bracketed_jobs: deque[str | None] = field(default_factory=lambda: deque(maxlen=REMEMBERED_JOBS))

    @property
    def device_id(self) -> str:
        return self.registration.device_id

    @property
    def name(self) -> str:
        return self.registration.name

    @property
    def profile(self) -> Profile:
        return PROFILES[self.registration.profile]

    def last_jobs(self, brackets: int) -> tuple[str, ...]:
        """The jobs in the last ``brackets`` brackets."""
        return tuple(job_id for job_id in list(self.bracketed_jobs)[-brackets:] if job_id is not None)

    def known(self) -> DeviceKnown:
        """What of it is kept."""
        return DeviceKnown(self.registration, self.standing, self.standing_reason, dict(self.baselines_ms))


class Fleet:
    """Devices by id, and by the session that they are connected in."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceRecord] = {}
        self._sessions: dict[int, DeviceRecord] = {}

    def __getitem__(self, device_id: str) -> DeviceRecord:
        return self._devices[device_id]

    def __iter__(self) -> Iterator[DeviceRecord]:
        return iter(list(self._devices.values()))

    def get(self, device_id: str) -> DeviceRecord | None:
        return self._devices.get(device_id)

    def of_session(self, session: int) -> DeviceRecord | None:
        return self._sessions.get(session)

    def restore(self, known: DeviceKnown, now: float) -> DeviceRecord:
        """A device that was known before a restart; its worker has yet to come back."""
        device = DeviceRecord(
            known.registration,
            known.standing,
            known.standing_reason,
            dict(known.baselines_ms),
            last_seen=now,
        )
        self._devices[device.device_id] = device
        return device

    def join(self, session: int, introduction: Introduction, now: float) -> DeviceRecord:
        """A worker's registration; a device that is known keeps its standing and its baselines."""
        registration = introduction.registration
        device = self._devices.setdefault(registration.device_id, DeviceRecord(registration))
        if device.session is not None:
            self._sessions.pop(device.session, None)
        device.registration = registration
        device.session, device.incarnation = session, introduction.incarnation
        device.present, device.last_seen = True, now
        self._sessions[session] = device
        return device

    def leave(self, session: int, now: float) -> DeviceRecord | None:
        """The session ended; None if it was not, or no longer, a device's."""
        device = self._sessions.pop(session, None)
        if device is not None:
            device.session, device.last_seen = None, now
        return device

    def forget(self, device_id: str) -> None:
        del self._devices[device_id]

    def find(self, text: str) -> DeviceRecord:
        """The device with this id, this beginning of an id, or this name.

        Raises:
            NoSuchDevice: there is none, or there are several; names what there is.
        """
        exact = self._devices.get(text)
        if exact is not None:
            return exact
        found = [device for device in self if device.name == text]
        found = found or [device for device in self if text and device.device_id.startswith(text)]
        if len(found) == 1:
            return found[0]
        known = found or list(self)
        listed = ", ".join(sorted(f"{device.name} ({device.device_id[:8]})" for device in known))
        problem = "several devices are called" if found else "no device is called"
        raise NoSuchDevice(f"{problem} {text!r}; the farm has {listed or 'no device at all'}")

    def devices(self, now: float) -> tuple[Device, ...]:
        """Every device, sorted by name."""
        found = (self._public(device, now) for device in self)
        return tuple(sorted(found, key=lambda device: (device.name, device.device_id)))

    def _public(self, device: DeviceRecord, now: float) -> Device:
        registration = device.registration
        return Device(
            device_id=registration.device_id,
            name=registration.name,
            device_class=registration.device_class,
            labels=registration.labels,
            facts=registration.facts,
            runtimes=registration.runtimes,
            state=_state(device, now),
            emulated=registration.emulated,
            profile=registration.profile,
            standing=device.standing,
            standing_reason=device.standing_reason,
            references={
                key: Reference(baseline, device.recent_ms.get(key, baseline), self._scale(device, key))
                for key, baseline in sorted(device.baselines_ms.items())
            },
        )

    def _scale(self, device: DeviceRecord, key: str) -> float:
        peers = [
            peer.baselines_ms[key]
            for peer in self._devices.values()
            if peer.registration.device_class == device.registration.device_class and key in peer.baselines_ms
        ]
        return scale(device.baselines_ms[key], peers)


def _state(device: DeviceRecord, now: float) -> DeviceState:
    if device.session is None:
        return "offline"
    if device.token is not None:
        return "busy"
    return "cooling" if now < device.cool_until else "idle"
