"""The descriptions (Markdown) that MLflow's dashboard shows at the top of a run."""

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.report.exports import export_label
from sweep.report.facts import SweepFacts


def sweep_note(facts: SweepFacts, state: SweepState) -> str:
    """What the sweep is, how far it got and which trial is best."""
    lines = [_progress(facts, state)]
    best = state.best
    if best is not None and best.completion is not None:
        lines.append(
            f"**Best so far: trial {best.number}**, {_score(facts, best.completion.final_score)} "
            f"(si-RMSE {best.completion.metrics['si_rmse']:.4f}, {best.completion.latency_ms:.2f} ms). "
            f"Its file: `sweep best {facts.name} -o model.tflite`."
        )
    exported = f" {facts.export_statement}" if facts.export_statement else ""
    lines.append(
        f"Search space {facts.space}; {facts.data}; {facts.target}. {facts.latency_statement}{exported}"
    )
    if state.ended is not None:
        detail = f" ({state.ended.detail})" if state.ended.detail else ""
        lines.append(f"Ended: {state.ended.reason}{detail}. Go on with `sweep resume {facts.name}`.")
    return "\n\n".join(lines)


def trial_note(facts: SweepFacts, trial: Trial) -> str:
    """How a trial that is final ended, and why."""
    where = f"after {trial.epoch} of {trial.max_epochs} epochs"
    if trial.state is TrialState.COMPLETE and trial.completion is not None:
        figures, export = trial.completion, export_label(trial.completion)
        file = f"file ({export})" if export else "file"
        return (
            f"**Complete.** {_score(facts, figures.final_score)} from si-RMSE "
            f"{figures.metrics['si_rmse']:.4f} and {figures.latency_ms:.2f} ms, both of the exported TFLite "
            f"{file}. Data: {facts.data}. Target: {facts.target}. {facts.latency_statement}"
        )
    return f"**{trial.state.value.capitalize()}** {where}: {trial.reason}"


def _score(facts: SweepFacts, value: float) -> str:
    text = facts.score.text(value) if facts.score.is_own else f"{value:.1f}"
    return f"{facts.score.name} {text}"


def _progress(facts: SweepFacts, state: SweepState) -> str:
    counts = {s: len(state.in_state(s)) for s in TrialState if s.is_final}
    done = ", ".join(f"{count} {s.value}" for s, count in counts.items() if count)
    limit = f" of at most {facts.trials}" if facts.trials is not None else ""
    return f"**Sweep {facts.name}**: {len(state.trials)} trials{limit}" + (f" ({done})." if done else ".")
