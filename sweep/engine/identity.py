"""What a sweep's scores depend on, and the first record of each run."""

import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sweep.data import Dataset, TestSplit
from sweep.engine.ledger import Ledger
from sweep.engine.settings import ResolvedTarget, RunSettings, difference
from sweep.judging.own_score import load_score, score_identity
from sweep.lifecycle.events import Json, SweepResumed, SweepStarted
from sweep.space import Space

PACKAGES = (
    "depth-sweep",
    "ray",
    "optuna",
    "torch",
    "onnx",
    "tensorflow-cpu",
    "tflite-runtime",
    "mlflow",
    "grpcio",
)


def identity_of(
    settings: RunSettings, space: Space, dataset: Dataset, test: TestSplit | None, target: ResolvedTarget
) -> dict[str, Any]:
    """What scores depend on; two sweeps of equal identity may share a study and a leaderboard."""
    identity = {
        "space": space.name,
        "space_hash": space.hash,
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint,
        "target": target.to_json(),
        "latency": "measured",
        "max_epochs": space.document.budget.max_epochs,
    }
    if not space.document.exports.is_plain:
        identity["export"] = space.document.exports.to_json()
    own_score = space.document.score
    if own_score is not None:
        identity["score"] = score_identity(own_score, load_score(own_score))
    if settings.teacher is not None:
        identity["teacher"] = settings.teacher.identity
    if settings.finalizing is not None:
        identity["finalizes"] = asdict(settings.finalizing)
    if test is not None:
        identity |= {"test_data": test.name, "test_fingerprint": test.fingerprint}
    return identity


def announce(
    ledger: Ledger,
    settings: RunSettings,
    space: Space,
    dataset: Dataset,
    test: TestSplit | None,
    target: ResolvedTarget,
    cluster: Mapping[str, int],
) -> str:
    """Record that the sweep starts or goes on.

    Returns:
        Why it must not: what its scores depend on has changed. Nothing was recorded then. Empty: all is well.
    """
    identity = identity_of(settings, space, dataset, test, target)
    said = {**settings.to_json(), "cluster": dict(cluster)}
    started = ledger.state.started
    if started is None:
        ledger.record(
            SweepStarted(
                name=settings.name,
                sweep_id=uuid.uuid4().hex,
                identity=identity,
                space={"file": space.file, "text": space.text, **_published(space)},
                settings=said,
                versions=installed_versions(),
            )
        )
        return ""
    changed = difference(started.identity, identity)
    if changed:
        return f"this is not the same sweep any more: {'; '.join(changed)}"
    ledger.record(SweepResumed(settings=said, versions=installed_versions()))
    return ""


def installed_versions() -> dict[str, str]:
    """The versions that figures depend on."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _published(space: Space) -> dict[str, Json]:
    """What reports say of a folder's candidates, for the leaderboard; nothing for a search."""
    rows = {name: row.model_dump(mode="json") for name, row in space.published.items()}
    return {"published": rows} if rows else {}
