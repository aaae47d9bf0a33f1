"""How a lease's model comes to the device, whole or not at all."""

import hashlib
from pathlib import Path
from typing import Any

import grpc

from device_farm.addresses import short_reason
from device_farm.jobs import Lease
from device_farm.rpc import farm_pb2 as pb

DOWNLOADS = 2  # a damaged one is tried again once


class NoModel(Exception):
    """The model is not here; the message says why. Another attempt may succeed."""


async def bring_model(lease: Lease, stub: Any, path: Path) -> Path:
    """Writes the lease's model to ``path``, from the lease itself or else through the ``Fleet`` stub.

    Raises:
        NoModel: it arrived damaged again and again, or not at all, or cannot be stored.
    """
    sha256 = lease.job.model_sha256
    try:
        for _ in range(DOWNLOADS):
            found = _store(lease.model, path) if lease.model else await _download(stub, sha256, path)
            if found == sha256:
                return path
    except grpc.aio.AioRpcError as error:
        raise NoModel(f"cannot fetch the model: {short_reason(error.details())}") from None
    except OSError as error:
        raise NoModel(f"cannot store the model: {error.strerror or error}") from None
    raise NoModel(f"the model arrived damaged: its SHA-256 is {found}, wanted {sha256}")


def _store(data: bytes, path: Path) -> str:
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


async def _download(stub: Any, sha256: str, path: Path) -> str:
    """Returns the SHA-256 of what came."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        async for chunk in stub.DownloadModel(pb.DownloadModelRequest(sha256=sha256)):
            digest.update(chunk.data)
            file.write(chunk.data)
    return digest.hexdigest()
