"""What Ray says of dead actors, in Ray's own words, and what becomes of it."""

import pytest

from sweep.engine.losses import Ending, how_it_ended

KILLED = """Failure # 1 (occurred at 2026-03-22_13-33-20)
The actor died unexpectedly before finishing this task.
	class_name: with_resources.<locals>.ResourceTrainable
	actor_id: 97ed256ecef77fa621c613ed01000000
	pid: 5726
	namespace: ea140515-6acf-45d3-bd24-597afe3aa4ea
	ip: 192.0.2.2
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was \
killed by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed \
unexpectedly due to SIGSEGV or another unexpected error. If the process was killed by the kernel OOM killer \
(verifiable by checking for OOM in dmesg of the OOMing node), consider enabling resource isolation via \
--enable-resource-isolation to prevent node deaths by resource contention and significant loss of progress by \
uninformed kernel OOM killing.
"""
NODE_DIED = """The actor died unexpectedly before finishing this task.
	class_name: A
	actor_id: 31441d0e863832d0235fd9aa01000000
	pid: 4628
	namespace: 329eb583-9345-496a-b78c-126d668fd115
	ip: 192.0.2.2
The actor is dead because its node has died. Node Id: 2a35bdc37a4aa3aafc1c4b805d7091326940641601214ed2a6615b56
	the actor's node was terminated unexpectedly: health check failed due to missing too many heartbeats
"""
OUT_OF_MEMORY = """1 worker(s) were killed due to the node running low on memory. Memory on the node \
(IP: 192.0.2.2, ID: cb08c39d10ba91a645f7d590f4a2e9d9a8199c92629a34f8a9f05acd) was 1.16GB used / 23.54GB limit \
(0.049111)
OOM kill reason: Memory usage 1241272320B exceeded threshold of 252765104B (1.0% of 25276510208B limit)
Ray killed 1 worker(s) based on the killing policy
"""
OUT_OF_REACH = """The actor d8d95e47771660f9a0e4382801000000 is unavailable: The actor is temporarily unavailable\
: RpcError: RPC error: Socket closed rpc_code: 14. The task may or may not have been executed on the actor.
"""
CREATION = """The actor died because of an error raised in its creation task, \x1b[36mray::X.__init__()\x1b[39m \
(pid=1, ip=192.0.2.2)
ModuleNotFoundError: No module named 'sweep'
"""


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (KILLED, "the training process was killed or died (on 192.0.2.2, process 5726)"),
        (NODE_DIED, "the node died (on 192.0.2.2, process 4628)"),
        (
            OUT_OF_MEMORY,
            "the training process was killed: its node ran out of memory (on 192.0.2.2, 1.16GB of 23.54GB used)",
        ),
        (OUT_OF_REACH, "the training process cannot be reached: it, its node or the network is gone"),
        ("", "the training process ended without a result"),
        ("something  that Ray says\nfrom 2027 on", "something that Ray says from 2027 on"),
    ],
)
def test_what_was_taken_away_is_lost_with_a_reason(message: str, reason: str) -> None:
    assert how_it_ended(message) == Ending(lost=True, reason=reason)


def test_a_process_that_cannot_even_start_has_failed_by_itself() -> None:
    ending = how_it_ended(CREATION)
    assert not ending.lost
    assert ending.reason.endswith("ModuleNotFoundError: No module named 'sweep'")
