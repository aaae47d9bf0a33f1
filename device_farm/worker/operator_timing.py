"""Times a model's operators in a runner, by ever longer prefixes of the file; see ``operator_profile``."""

import asyncio
from pathlib import Path

from device_farm.model_files.operator_profile import operator_times, operators, patched, prefix_patches
from device_farm.types import OperatorTime, Target
from device_farm.worker.children import RunnerProcess

# Every prefix is met by every part of the time, so that a warming board does not look like a slow operator.
ROUNDS = 3
WARMUP_INVOCATIONS = 2
INVOCATIONS = 6  # of each prefix in each round


async def time_operators(
    runner: RunnerProcess, slot: str, model: Path, target: Target, deadline: float
) -> tuple[OperatorTime, ...]:
    """The time of each operator of the file, by the given threads and delegate.

    Args:
        slot: of the runner; its model makes room for the prefixes.
        deadline: in the event loop's time; what was measured until then must do, if it is every prefix once.

    Raises:
        ValueError: the file cannot be cut, or there was no time for it.
        RunnerProblem: a prefix does not run.
        OSError: a prefix cannot be written.
    """
    data = model.read_bytes()
    prefixes = prefix_patches(data)
    times_ms: list[list[float]] = [[] for _ in prefixes]
    path = model.with_name("prefix.tflite")
    try:
        async with asyncio.timeout_at(deadline):
            for _ in range(ROUNDS):
                for patches, known_ms in zip(prefixes, times_ms, strict=True):
                    path.write_bytes(patched(data, patches))
                    known_ms.extend(await _invoke(runner, slot, path, target))
    except TimeoutError:
        if not all(times_ms):
            raise ValueError("the job's time was over before all operators were timed") from None
    finally:
        path.unlink(missing_ok=True)
    # The quickest of a few invocations wanders less than their median, and differences of them much less.
    shares_ms = operator_times([min(known_ms) for known_ms in times_ms])
    return tuple(
        OperatorTime(operator.index, operator.name, operator.output, share_ms)
        for operator, share_ms in zip(operators(data), shares_ms, strict=True)
    )


async def _invoke(runner: RunnerProcess, slot: str, path: Path, target: Target) -> tuple[float, ...]:
    await runner.load(slot, path, target.threads, target.delegate)
    await runner.invoke(slot, WARMUP_INVOCATIONS)
    return (await runner.invoke(slot, INVOCATIONS)).wall_ms
