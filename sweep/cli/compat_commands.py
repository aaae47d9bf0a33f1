"""``sweep compat``: which runtimes can run a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sweep.cli.arguments import check_farm_address
from sweep.cli.errors import FAILURE, UsageError, explained_errors

if TYPE_CHECKING:
    from sweep.export.compatibility import Compatibility, Operator, Problem
    from sweep.export.proof import Proof


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(compat)


def compat(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Any TFLite file.")],
    farm: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Run the file on each runtime of this device farm.  [default: on this machine's tflite-runtime]",
        ),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Ask about this one, such as 2.5.0 or litert-2.3.0.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which runtimes can run a TFLite file.

    Names the oldest TensorFlow Lite that has all the file's operators, and runs the file on what is at hand. With
    --runtime, exit code 1 means that this runtime cannot run it.
    """
    from sweep.export.compatibility import check_target, compatibility, required_operators

    with explained_errors():
        if not model.is_file():
            raise UsageError(f"{model}: {'a folder, not a file' if model.is_dir() else 'no such file'}")
        check_farm_address(farm)
        operators = required_operators(model)
        target = None if runtime is None else _runtime_name(runtime)
        problems = check_target(operators, target) if target else ()
        found, proofs = compatibility(operators), _proofs(model, farm)
        runs = None if target is None else can_run(target, problems, proofs)
        if as_json:
            report = {"model": str(model), **_as_json(found, proofs)}
            if target is not None:
                report["target"] = _target_as_json(target, runs, problems)
            typer.echo(json.dumps(report, indent=2))
        else:
            _show(model, found, proofs)
            if target is not None:
                typer.echo(_answer(target, bool(runs), problems, proofs))
    if runs is False:
        raise typer.Exit(FAILURE)


def can_run(runtime: str, problems: Sequence["Problem"], proofs: Sequence["Proof"]) -> bool:
    """Whether the runtime runs the file: as it was seen there, else as the operators' versions tell."""
    seen = [proof.outcome for proof in proofs if proof.runtime == runtime and proof.outcome != "unknown"]
    return "refused" not in seen if seen else not problems


def _runtime_name(runtime: str) -> str:
    from sweep.export.versions import tflite_release

    try:
        tflite_release(runtime)
    except ValueError as error:
        raise UsageError(f"--runtime: {error}") from None
    return runtime if "-" in runtime else f"tflite-{runtime}"


def _proofs(model: Path, farm: str | None) -> tuple["Proof", ...]:
    from device_farm.client import FarmClient
    from device_farm.credentials import default_credentials
    from sweep.export.proof import prove, prove_here

    if farm is None:
        return prove_here(model)
    with FarmClient(farm, credentials=default_credentials()) as client:
        return prove(model, client)


def _as_json(found: "Compatibility", proofs: Sequence["Proof"]) -> dict[str, Any]:
    return {
        "oldest_runtime": found.oldest,
        "forced_by": [_operator_as_json(operator) for operator in found.forced_by],
        "unknown": [_operator_as_json(operator) for operator in found.unknown],
        "runs": [vars(proof) for proof in proofs],
    }


def _operator_as_json(operator: "Operator") -> dict[str, Any]:
    return {"operator": operator[0], "version": operator[1]}


def _target_as_json(target: str, runs: bool | None, problems: Sequence["Problem"]) -> dict[str, Any]:
    return {"runtime": target, "runs": runs, "problems": [vars(problem) for problem in problems]}


def _show(model: Path, found: "Compatibility", proofs: Sequence["Proof"]) -> None:
    typer.echo(f"{model}: {_needs(found)}")
    table = Table("runtime", "delegate", "device", "outcome")
    for proof in proofs:
        outcome = f"{proof.outcome}: {proof.words}" if proof.words else proof.outcome
        table.add_row(proof.runtime, proof.delegate, proof.device or "this machine", escape(outcome))
    Console().print(table)


def _needs(found: "Compatibility") -> str:
    if found.unknown:
        return f"no release of TensorFlow Lite has {_listed(found.unknown)}"
    because = f" (for {_listed(found.forced_by)})" if found.forced_by else ""
    return f"needs TensorFlow Lite {found.oldest} or newer{because}"


def _listed(operators: Sequence["Operator"]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in operators)


def _answer(target: str, runs: bool, problems: Sequence["Problem"], proofs: Sequence["Proof"]) -> str:
    seen = any(proof.runtime == target and proof.outcome != "unknown" for proof in proofs)
    verb = "runs" if runs else "does not run"
    known = "as seen" if seen else "judged by operator versions, not by running it"
    lines = [f"{verb} on {target} ({known})", *(f"  {problem}" for problem in problems)]
    return "\n".join(lines)
