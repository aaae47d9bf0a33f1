"""Checks of what a call names, made before anything starts; each says what was found and what is allowed."""

import os
import re
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.usage import UsageError

if TYPE_CHECKING:
    from sweep.engine.settings import Stores

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NAME_ALLOWED = "up to 64 letters, digits, _, . and -, a letter or digit first"

RAY_ANSWERS_S = 10.0
RESERVED_NAMES = ("mlflow.db", "mlflow-artifacts")
MLFLOW_OPTION = "--mlflow-uri"
OPTUNA_OPTION = "--optuna-storage"


def check_farm_address(farm: str | None) -> None:
    """Raises UsageError unless ``farm`` is None, or HOST:PORT with the credentials that it asks for."""
    from device_farm.addresses import is_loopback, parse_address
    from device_farm.credentials import CREDENTIALS_VARIABLE, default_credentials

    if farm is None:
        return
    try:
        host, _ = parse_address(farm)
        credentials = default_credentials()
    except ValueError as error:
        raise UsageError(f"--farm: {error}") from None
    if credentials is None and not is_loopback(host):
        raise UsageError(
            f"--farm: {farm} is on another machine: name its file of credentials in {CREDENTIALS_VARIABLE}"
        )


def check_ray_address(address: str | None) -> None:
    """Try to reach a Ray cluster named as HOST:PORT, because Ray itself would try for minutes.

    Raises:
        UsageError: the address is malformed.
        ConnectionError: nothing listens there.
    """
    from device_farm.addresses import parse_address

    if address is None or address in ("auto", "local"):
        return
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray-address: found {address}, Ray's client protocol; allowed: HOST:PORT of the head node, with "
            "this machine a node of the cluster (ray start --address HOST:PORT)"
        )
    try:
        place = parse_address(address)
    except ValueError as error:
        raise UsageError(f"--ray-address: {error}, or auto") from None
    try:
        socket.create_connection(place, RAY_ANSWERS_S).close()
    except OSError as error:
        raise ConnectionError(
            f"--ray-address {address}: no cluster answers ({error.strerror or error})"
        ) from None


def check_data(data: str | None) -> str | None:
    """``data`` as it is found from every folder; what is in it is read later.

    Raises:
        UsageError: it is neither None nor an address of data.
    """
    if data is None:
        return None
    from sweep.data import DatasetError
    from sweep.data.sources import absolute, is_own_source, open_source
    from sweep.engine.own_code import make_importable

    if is_own_source(data):
        make_importable((Path(),))
    try:
        open_source(data)
    except DatasetError as error:
        raise UsageError(f"--data {'; '.join(error.problems)}") from None
    return absolute(data)


def prepare_runs_folder(runs: Path) -> None:
    """Create the folder of all sweeps. Raises UsageError unless files can be made in it."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs):
            pass
    except OSError as error:
        raise UsageError(f"--runs {runs}: {error.strerror}; allowed: a folder that can be written") from None


def existing_sweep(runs: Path, name: str) -> Path:
    """The directory of the sweep called ``name``. Raises UsageError naming the sweeps that there are."""
    names = sweep_names(runs)
    if name in names:
        return runs / name
    if not names:
        raise UsageError(f"{runs} holds no sweep; start one with: sweep run mobilenetv3, or give --runs DIR")
    raise UsageError(f"no sweep {name!r} in {runs}; there are: {', '.join(names)}")


def sweep_names(runs: Path) -> list[str]:
    """The names of the sweeps in ``runs``, sorted."""
    from sweep.lifecycle.journal import JOURNAL_NAME

    return sorted(path.parent.name for path in runs.glob(f"*/{JOURNAL_NAME}"))


def free_name(runs: Path, name: str | None, space: str) -> str:
    """``name``, or if None the space's name with the first free number.

    A directory in which no sweep ever started, because its farm did not answer, say, is free.

    Raises:
        UsageError: the name is malformed or in use.
    """
    if name is None:
        number = 1
        while _in_use(runs / f"{space}-{number}"):
            number += 1
        return f"{space}-{number}"
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(f"--name: found {name!r}; allowed: {NAME_ALLOWED}")
    if name in RESERVED_NAMES:
        raise UsageError(f"--name: {name} is where MLflow keeps its files; choose another name")
    if name in sweep_names(runs) and _in_use(runs / name):
        raise UsageError(
            f"--name: sweep {name} exists in {runs}: go on with `sweep resume {name}`, or choose another name"
        )
    if _in_use(runs / name):
        raise UsageError(f"--name: {runs / name} exists and is no sweep; choose another name")
    return name


def _in_use(directory: Path) -> bool:
    from sweep.lifecycle.journal import JOURNAL_NAME

    journal = directory / JOURNAL_NAME
    if journal.exists():
        return journal.stat().st_size > 0
    return os.path.lexists(directory)


def checked_stores(
    runs: Path, mlflow_uri: str | None, artifacts: str | None, optuna_storage: str | None
) -> "Stores":
    """The stores' addresses; ``runs`` holds MLflow's store by default.

    Raises:
        UsageError: one is no address of a store, or both name one database.
    """
    from sweep.engine.files import Runs
    from sweep.engine.settings import Stores
    from sweep.tracking.addresses import check_apart, kind_of

    try:
        if mlflow_uri is not None:
            kind_of(mlflow_uri, MLFLOW_OPTION)
        if optuna_storage is not None:
            kind_of(optuna_storage, OPTUNA_OPTION, ("sqlite", "postgresql"))
            check_apart(mlflow_uri or Runs(runs).mlflow_uri, optuna_storage)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Stores(mlflow_uri, artifacts, optuna_storage)


def seconds(text: str | None) -> int | None:
    """A duration such as 1h30m in seconds; None for None. Raises UsageError for what is none."""
    from sweep.space import parse_duration

    if text is None:
        return None
    try:
        return int(parse_duration(text))
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None
