"""What a sweep's first event says about it, typed: the one place that reads its identity and settings.

Keys read from the identity: ``space`` and ``data`` (names), ``target`` (``labels``, ``runtime``, ``threads``,
``delegate``, ``device_class``, ``emulated``), ``latency`` (``measured``, which is the default, or
``estimated``), ``max_epochs``, ``export`` (``variants``, ``threads``, ``delegates``, ``output_upsampling``;
absent: one float32 file at the target's setting), ``score`` (``class`` and ``name`` of another package's score;
absent: the Final Score), and of a finalising sweep ``finalizes`` (the ``sweep`` whose
winners it retrains) and ``test_data`` (the held-out split's name).
Keys read from the settings: ``trials`` and ``time_s`` (limits, or None), ``farm`` (an address; None: the sweep
measures on its own machine), ``data`` (a folder; None: generated demo data) and ``teacher`` (absent: none).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweep.lifecycle.events import Json, SweepStarted
from sweep.report.score_label import CHALLENGE, ScoreLabel, label_of
from sweep.report.teacher_words import teacher_title
from sweep.space.exports import ExportChoices, choices_from_json

CHALLENGE_DEVICE = "Raspberry Pi 4"

DEMO_PREFIX = "demo-"
"""How the names of generated data begin; a person's folder may be called so too, but is in the settings."""


@dataclass(frozen=True)
class SweepFacts:
    """A sweep's name and what its scores depend on.

    Attributes:
        latency: ``measured`` on the device, or ``estimated`` by a model of it.
        trials: limit of trials, None for no limit.
        time_limit_s: limit of wall-clock seconds, None for no limit.
        this_machine: latency comes from the machine that runs the sweep, not from a device farm.
        demo_data: the data are generated images.
        finalizes: the sweep whose winners this one retrains and judges on held-out data; None for a search.
        test_data: name of the held-out data; None for a search, which never reads them.
        exports: the files that each training becomes, and the settings that they are run at.
        teacher: who guides trials whose recipes want it, with what it is a substitute for; None: nobody.
        score: how what the sweep maximises is called.
    """

    name: str
    sweep_id: str
    space: str
    data: str
    device_class: str
    emulated: bool
    labels: Mapping[str, str]
    runtime: str
    threads: int
    delegate: str
    latency: str
    max_epochs: int
    trials: int | None
    time_limit_s: float | None
    this_machine: bool
    demo_data: bool
    finalizes: str | None
    test_data: str | None
    exports: ExportChoices = field(default_factory=ExportChoices)
    teacher: str | None = None
    score: ScoreLabel = CHALLENGE

    @property
    def subject(self) -> str:
        """Such as ``mobilenetv3 on demo-1``, and whose winners are retrained if it is no search."""
        task = "" if self.finalizes is None else f"; retrains the winners of {self.finalizes}"
        return f"{self.space} on {self.data}{task}"

    @property
    def target(self) -> str:
        """The target in one line, such as ``raspberrypi-4b, tflite-2.14.0, 4 threads, xnnpack``."""
        tried = self.exports
        threads = " or ".join(map(str, tried.threads)) + (" threads" if tried.threads != (1,) else " thread")
        delegate = " or ".join("no delegate" if name == "none" else name for name in tried.delegates)
        device = self.device_class + (" (emulated)" if self.emulated else "")
        return ", ".join((device, self.runtime or "default runtime", threads, delegate))

    @property
    def export_statement(self) -> str | None:
        """What each training is exported to; None where it is one float32 file at one setting."""
        if self.exports.is_plain:
            return None
        resize = self.exports.output_upsampling
        resized = f", each with a {' and a '.join(resize)} last resize" if resize else ""
        count = self.exports.combinations
        best = f"; the best of {count} combinations counts" if count > 1 else ""
        return f"Exported as {', '.join(self.exports.variants)}{resized}{best}."

    @property
    def latency_statement(self) -> str:
        """A plain sentence about where latencies come from, and what they are not."""
        kind = "Latency is measured" if self.latency == "measured" else f"Latency is {self.latency}"
        if self.this_machine:
            return f"{kind} on this machine, not on a {CHALLENGE_DEVICE}."
        return f"{kind} on the device farm: {self.device_class}."

    @property
    def data_statement(self) -> str:
        """The data's name and, where a score on them means less than it seems to, that it does."""
        if not self.demo_data:
            return self.data
        return f"{self.data} (generated images: a score on them is not the challenge's)"


def facts_of(started: SweepStarted, settings: Mapping[str, Json] | None = None) -> SweepFacts:
    """The facts in ``started``; a name that the journal lacks shows as unknown rather than not at all.

    Args:
        started: the sweep's first event.
        settings: those of a later run of the same sweep, where its limits are wanted.
    """
    identity = started.identity
    settings = started.settings if settings is None else settings
    target = identity.get("target", {})
    data = str(identity.get("data", "unknown data"))
    return SweepFacts(
        name=started.name,
        sweep_id=started.sweep_id,
        space=str(identity.get("space", "unknown space")),
        data=data,
        device_class=str(target.get("device_class", "unknown device")),
        emulated=bool(target.get("emulated", False)),
        labels=dict(target.get("labels", {})),
        runtime=str(target.get("runtime", "")),
        threads=int(target.get("threads", 1)),
        delegate=str(target.get("delegate", "xnnpack")),
        latency=str(identity.get("latency", "measured")),
        max_epochs=int(identity["max_epochs"]),
        trials=settings.get("trials"),
        time_limit_s=settings.get("time_s"),
        this_machine=settings.get("farm") is None,
        demo_data=data.startswith(DEMO_PREFIX) and started.settings.get("data") is None,
        finalizes=_finalized(identity.get("finalizes")),
        test_data=identity.get("test_data"),
        exports=choices_from_json(identity),
        teacher=teacher_title(settings),
        score=label_of(identity),
    )


def _finalized(entry: Mapping[str, Json] | None) -> str | None:
    return None if entry is None else str(entry["sweep"])
