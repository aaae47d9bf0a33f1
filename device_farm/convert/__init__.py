"""Between the wire and the dataclasses: the only place that knows protobuf messages.

``*_to_wire`` never fails; ``*_from_wire`` raises ValueError for a message that makes no sense, because the
other side may be older, newer or broken.
"""

from device_farm.convert.devices import (
    devices_from_wire,
    devices_to_wire,
    order_from_wire,
    order_to_wire,
    registration_from_bytes,
    registration_from_wire,
    registration_to_bytes,
    registration_to_wire,
)
from device_farm.convert.jobs import (
    job_from_bytes,
    job_from_wire,
    job_to_bytes,
    job_to_wire,
    record_from_wire,
    record_to_wire,
)
from device_farm.convert.measurements import (
    report_from_wire,
    report_to_wire,
    update_from_bytes,
    update_from_wire,
    update_to_bytes,
    update_to_wire,
)
from device_farm.convert.streams import (
    chunks_to_wire,
    coordinator_message_from_wire,
    coordinator_message_to_wire,
    worker_message_from_wire,
    worker_message_to_wire,
)

__all__ = [
    "chunks_to_wire",
    "coordinator_message_from_wire",
    "coordinator_message_to_wire",
    "devices_from_wire",
    "devices_to_wire",
    "job_from_bytes",
    "job_from_wire",
    "job_to_bytes",
    "job_to_wire",
    "order_from_wire",
    "order_to_wire",
    "record_from_wire",
    "record_to_wire",
    "registration_from_bytes",
    "registration_from_wire",
    "registration_to_bytes",
    "registration_to_wire",
    "report_from_wire",
    "report_to_wire",
    "update_from_bytes",
    "update_from_wire",
    "update_to_bytes",
    "update_to_wire",
    "worker_message_from_wire",
    "worker_message_to_wire",
]
