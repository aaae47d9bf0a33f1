from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelChunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class UploadModelResponse(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class DownloadModelRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("labels", "runtime", "threads", "delegate")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.ScalarMap[str, str]
    runtime: str
    threads: int
    delegate: str
    def __init__(self, labels: _Optional[_Mapping[str, str]] = ..., runtime: _Optional[str] = ..., threads: _Optional[int] = ..., delegate: _Optional[str] = ...) -> None: ...

class MeasurementSettings(_message.Message):
    __slots__ = ("interval_width", "min_invocations", "max_invocations", "warmup_seconds", "sampling_seconds", "timeout_seconds", "memory_limit_mb")
    INTERVAL_WIDTH_FIELD_NUMBER: _ClassVar[int]
    MIN_INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_MB_FIELD_NUMBER: _ClassVar[int]
    interval_width: float
    min_invocations: int
    max_invocations: int
    warmup_seconds: float
    sampling_seconds: float
    timeout_seconds: float
    memory_limit_mb: int
    def __init__(self, interval_width: _Optional[float] = ..., min_invocations: _Optional[int] = ..., max_invocations: _Optional[int] = ..., warmup_seconds: _Optional[float] = ..., sampling_seconds: _Optional[float] = ..., timeout_seconds: _Optional[float] = ..., memory_limit_mb: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "model_sha256", "target", "settings", "priority", "device_wait_seconds", "fresh", "profile_operators", "detached")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEVICE_WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    PROFILE_OPERATORS_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    model_sha256: str
    target: Target
    settings: MeasurementSettings
    priority: int
    device_wait_seconds: float
    fresh: bool
    profile_operators: bool
    detached: bool
    def __init__(self, job_id: _Optional[str] = ..., model_sha256: _Optional[str] = ..., target: _Optional[_Union[Target, _Mapping]] = ..., settings: _Optional[_Union[MeasurementSettings, _Mapping]] = ..., priority: _Optional[int] = ..., device_wait_seconds: _Optional[float] = ..., fresh: _Optional[bool] = ..., profile_operators: _Optional[bool] = ..., detached: _Optional[bool] = ...) -> None: ...

class MeasureRequest(_message.Message):
    __slots__ = ("job", "model")
    JOB_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    job: Job
    model: bytes
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., model: _Optional[bytes] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id", "reason")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    reason: str
    def __init__(self, job_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class StoryEntry(_message.Message):
    __slots__ = ("at", "text")
    AT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at: float
    text: str
    def __init__(self, at: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class JobRecord(_message.Message):
    __slots__ = ("job_id", "state", "submitted_at", "model_sha256", "target", "priority", "latency_ms", "message", "story")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STORY_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    state: str
    submitted_at: float
    model_sha256: str
    target: Target
    priority: int
    latency_ms: float
    message: str
    story: _containers.RepeatedCompositeFieldContainer[StoryEntry]
    def __init__(self, job_id: _Optional[str] = ..., state: _Optional[str] = ..., submitted_at: _Optional[float] = ..., model_sha256: _Optional[str] = ..., target: _Optional[_Union[Target, _Mapping]] = ..., priority: _Optional[int] = ..., latency_ms: _Optional[float] = ..., message: _Optional[str] = ..., story: _Optional[_Iterable[_Union[StoryEntry, _Mapping]]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobRecord]
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobRecord, _Mapping]]] = ...) -> None: ...

class JobUpdate(_message.Message):
    __slots__ = ("queued", "running", "measurement", "infeasible", "failed", "no_device", "cancelled")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    NO_DEVICE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    queued: Queued
    running: Running
    measurement: Measurement
    infeasible: Infeasible
    failed: Failed
    no_device: NoDevice
    cancelled: Cancelled
    def __init__(self, queued: _Optional[_Union[Queued, _Mapping]] = ..., running: _Optional[_Union[Running, _Mapping]] = ..., measurement: _Optional[_Union[Measurement, _Mapping]] = ..., infeasible: _Optional[_Union[Infeasible, _Mapping]] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ..., no_device: _Optional[_Union[NoDevice, _Mapping]] = ..., cancelled: _Optional[_Union[Cancelled, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Running(_message.Message):
    __slots__ = ("device_name",)
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    device_name: str
    def __init__(self, device_name: _Optional[str] = ...) -> None: ...

class Infeasible(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class Failed(_message.Message):
    __slots__ = ("message", "retryable")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    message: str
    retryable: bool
    def __init__(self, message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class NoDevice(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class Cancelled(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class Numbers(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class EvidenceValue(_message.Message):
    __slots__ = ("text", "number", "integer", "flag", "numbers")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    text: str
    number: float
    integer: int
    flag: bool
    numbers: Numbers
    def __init__(self, text: _Optional[str] = ..., number: _Optional[float] = ..., integer: _Optional[int] = ..., flag: _Optional[bool] = ..., numbers: _Optional[_Union[Numbers, _Mapping]] = ...) -> None: ...

class OperatorTime(_message.Message):
    __slots__ = ("index", "name", "output", "time_ms")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    output: str
    time_ms: float
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., output: _Optional[str] = ..., time_ms: _Optional[float] = ...) -> None: ...

class RunReport(_message.Message):
    __slots__ = ("model_sha256", "runtime", "runtime_version", "threads", "delegate", "samples_ms", "warmup_ms", "cpu_ms", "reference_before_ms", "reference_after_ms", "stopped_by", "measured_at", "evidence", "operators")
    class EvidenceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: EvidenceValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[EvidenceValue, _Mapping]] = ...) -> None: ...
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_MS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_MS_FIELD_NUMBER: _ClassVar[int]
    CPU_MS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    model_sha256: str
    runtime: str
    runtime_version: str
    threads: int
    delegate: str
    samples_ms: _containers.RepeatedScalarFieldContainer[float]
    warmup_ms: _containers.RepeatedScalarFieldContainer[float]
    cpu_ms: _containers.RepeatedScalarFieldContainer[float]
    reference_before_ms: _containers.RepeatedScalarFieldContainer[float]
    reference_after_ms: _containers.RepeatedScalarFieldContainer[float]
    stopped_by: str
    measured_at: float
    evidence: _containers.MessageMap[str, EvidenceValue]
    operators: _containers.RepeatedCompositeFieldContainer[OperatorTime]
    def __init__(self, model_sha256: _Optional[str] = ..., runtime: _Optional[str] = ..., runtime_version: _Optional[str] = ..., threads: _Optional[int] = ..., delegate: _Optional[str] = ..., samples_ms: _Optional[_Iterable[float]] = ..., warmup_ms: _Optional[_Iterable[float]] = ..., cpu_ms: _Optional[_Iterable[float]] = ..., reference_before_ms: _Optional[_Iterable[float]] = ..., reference_after_ms: _Optional[_Iterable[float]] = ..., stopped_by: _Optional[str] = ..., measured_at: _Optional[float] = ..., evidence: _Optional[_Mapping[str, EvidenceValue]] = ..., operators: _Optional[_Iterable[_Union[OperatorTime, _Mapping]]] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("report", "latency_ms", "interval_ms", "effective_samples", "device_id", "device_name", "device_class", "emulated", "profile", "cached")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_CLASS_FIELD_NUMBER: _ClassVar[int]
    EMULATED_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    report: RunReport
    latency_ms: float
    interval_ms: Interval
    effective_samples: float
    device_id: str
    device_name: str
    device_class: str
    emulated: bool
    profile: str
    cached: bool
    def __init__(self, report: _Optional[_Union[RunReport, _Mapping]] = ..., latency_ms: _Optional[float] = ..., interval_ms: _Optional[_Union[Interval, _Mapping]] = ..., effective_samples: _Optional[float] = ..., device_id: _Optional[str] = ..., device_name: _Optional[str] = ..., device_class: _Optional[str] = ..., emulated: _Optional[bool] = ..., profile: _Optional[str] = ..., cached: _Optional[bool] = ...) -> None: ...

class Runtime(_message.Message):
    __slots__ = ("name", "version", "delegates")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    delegates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., delegates: _Optional[_Iterable[str]] = ...) -> None: ...

class Registration(_message.Message):
    __slots__ = ("device_id", "name", "device_class", "labels", "facts", "runtimes", "emulated", "profile", "references_ms")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ReferencesMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Numbers
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Numbers, _Mapping]] = ...) -> None: ...
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_CLASS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    RUNTIMES_FIELD_NUMBER: _ClassVar[int]
    EMULATED_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_MS_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    name: str
    device_class: str
    labels: _containers.ScalarMap[str, str]
    facts: _containers.ScalarMap[str, str]
    runtimes: _containers.RepeatedCompositeFieldContainer[Runtime]
    emulated: bool
    profile: str
    references_ms: _containers.MessageMap[str, Numbers]
    def __init__(self, device_id: _Optional[str] = ..., name: _Optional[str] = ..., device_class: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., facts: _Optional[_Mapping[str, str]] = ..., runtimes: _Optional[_Iterable[_Union[Runtime, _Mapping]]] = ..., emulated: _Optional[bool] = ..., profile: _Optional[str] = ..., references_ms: _Optional[_Mapping[str, Numbers]] = ...) -> None: ...

class Introduction(_message.Message):
    __slots__ = ("registration", "device_key", "incarnation", "held")
    REGISTRATION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_KEY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    registration: Registration
    device_key: str
    incarnation: str
    held: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, registration: _Optional[_Union[Registration, _Mapping]] = ..., device_key: _Optional[str] = ..., incarnation: _Optional[str] = ..., held: _Optional[_Iterable[int]] = ...) -> None: ...

class Reference(_message.Message):
    __slots__ = ("baseline_ms", "recent_ms", "scale")
    BASELINE_MS_FIELD_NUMBER: _ClassVar[int]
    RECENT_MS_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    baseline_ms: float
    recent_ms: float
    scale: float
    def __init__(self, baseline_ms: _Optional[float] = ..., recent_ms: _Optional[float] = ..., scale: _Optional[float] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("registration", "state", "standing", "standing_reason", "references")
    class ReferencesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Reference
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Reference, _Mapping]] = ...) -> None: ...
    REGISTRATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    STANDING_REASON_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    registration: Registration
    state: str
    standing: str
    standing_reason: str
    references: _containers.MessageMap[str, Reference]
    def __init__(self, registration: _Optional[_Union[Registration, _Mapping]] = ..., state: _Optional[str] = ..., standing: _Optional[str] = ..., standing_reason: _Optional[str] = ..., references: _Optional[_Mapping[str, Reference]] = ...) -> None: ...

class DeviceOrder(_message.Message):
    __slots__ = ("device", "action", "reason", "recalibrate")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RECALIBRATE_FIELD_NUMBER: _ClassVar[int]
    device: str
    action: str
    reason: str
    recalibrate: bool
    def __init__(self, device: _Optional[str] = ..., action: _Optional[str] = ..., reason: _Optional[str] = ..., recalibrate: _Optional[bool] = ...) -> None: ...

class OrderDeviceResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    def __init__(self, devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ...) -> None: ...

class WorkerMessage(_message.Message):
    __slots__ = ("introduction", "heartbeat", "result")
    INTRODUCTION_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    introduction: Introduction
    heartbeat: Heartbeat
    result: LeaseResult
    def __init__(self, introduction: _Optional[_Union[Introduction, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., result: _Optional[_Union[LeaseResult, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tokens: _Optional[_Iterable[int]] = ...) -> None: ...

class LeaseResult(_message.Message):
    __slots__ = ("token", "report", "infeasible", "failed")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    token: int
    report: RunReport
    infeasible: Infeasible
    failed: Failed
    def __init__(self, token: _Optional[int] = ..., report: _Optional[_Union[RunReport, _Mapping]] = ..., infeasible: _Optional[_Union[Infeasible, _Mapping]] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("welcome", "lease", "acknowledgement", "revocation")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    lease: Lease
    acknowledgement: Acknowledgement
    revocation: Revocation
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., acknowledgement: _Optional[_Union[Acknowledgement, _Mapping]] = ..., revocation: _Optional[_Union[Revocation, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("heartbeat_seconds", "lease_seconds")
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    heartbeat_seconds: float
    lease_seconds: float
    def __init__(self, heartbeat_seconds: _Optional[float] = ..., lease_seconds: _Optional[float] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("token", "job", "model")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    token: int
    job: Job
    model: bytes
    def __init__(self, token: _Optional[int] = ..., job: _Optional[_Union[Job, _Mapping]] = ..., model: _Optional[bytes] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: int
    def __init__(self, token: _Optional[int] = ...) -> None: ...

class Revocation(_message.Message):
    __slots__ = ("token", "reason")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    token: int
    reason: str
    def __init__(self, token: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
