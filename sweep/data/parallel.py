"""The same work for many indices, on threads, with progress."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")


def map_indices(
    work: Callable[[int], T], count: int, workers: int, label: str, progress: Callable[[str, int, int], None]
) -> list[T]:
    """``[work(0), ..., work(count - 1)]``; on an error or an interrupt, what has not begun is dropped."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, index) for index in range(count)]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(label, done, count)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
