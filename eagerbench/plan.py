"""The plan: every case of a selection, in running order, each with the reason if it will be skipped."""

from eagerbench import backends
from eagerbench.backends.base import Runs, Variant
from eagerbench.case import DEFAULT, Case
from eagerbench.errors import BadInput
from eagerbench.experiments import EXPERIMENTS
from eagerbench.models.specs import ModelSpec, resolve
from eagerbench.results.reasons import grouped
from eagerbench.selection import Selection
from eagerbench.shown import count, one_line
from eagerbench.workloads.base import OneBatch, Workload, another_build, too_long, without_texts

_NOT_BY_DEFAULT = "not in the default run; add --variant '*'"

_LONGEST_COLUMN = 60  # one long name must not push every reason off the screen


def plan(selection: Selection) -> list[Case]:
    """All cases: by model, then variant (built once for all of its experiments), then experiment, then workload.

    Raises:
        BadInput: `--sequence-lengths` gives nothing that any model takes, or no model can use a file that is named.
    """
    _refuse_lengths(selection)
    cases = []
    by_model = {model: {name: list(dict.fromkeys(EXPERIMENTS[name].workloads(model, selection)))
                        for name in experiments} for model, experiments in _models(selection).items()}
    _refuse_files(by_model)
    for model, workloads in by_model.items():
        rebuilt = _rebuilt(workloads.get(DEFAULT, []), selection)
        for variant_name in selection.variants:
            variant, backend = backends.variants()[variant_name]
            variant = backend.on(variant, selection.device)
            unavailable = backend.refuses(variant, selection.placement)
            for name, works in workloads.items():
                for work in works:
                    reason = without_texts(work, backend) or unavailable or work.refuses(model, variant, backend)
                    if _unnamed(selection, name):
                        reason = reason or f"not in the default run; name test_{name}.py"
                    elif not _by_default(selection, variant, name, work in rebuilt):
                        reason = reason or _NOT_BY_DEFAULT
                    elif name == DEFAULT:
                        reason = reason or another_build(backend, work in rebuilt)
                    cases.append(Case(model, variant, name, work, selection.device, reason))
    return cases


def _unnamed(selection: Selection, experiment: str) -> bool:
    """Whether an experiment that takes minutes was not asked for."""
    return EXPERIMENTS[experiment].named and selection.grid != "full" and experiment not in selection.files


def _by_default(selection: Selection, variant: Variant, experiment: str, built_for: bool) -> bool:
    """Whether a variant's case runs when it was not asked for; True when it was.

    Args:
        built_for: whether it is of the latency experiment, at a shape that even costly variants are built for.
    """
    if selection.every_variant:
        return True
    if variant.runs is Runs.WHEN_NAMED:
        return False
    if experiment != DEFAULT and not EXPERIMENTS[experiment].everywhere:
        return variant.runs is Runs.IN_EVERY_EXPERIMENT
    if selection.grid != "default":
        return True
    return built_for if variant.runs is Runs.AT_ONE_SHAPE else variant.runs is not Runs.IN_SMALLER_GRIDS


def _refuse_lengths(selection: Selection) -> None:
    limits = [model.max_length for model in selection.models]
    if selection.sequence_lengths and None not in limits and min(selection.sequence_lengths) > max(limits):
        raise BadInput(f"--sequence-lengths {','.join(map(str, selection.sequence_lengths))}: "
                       + "; ".join(too_long(model, min(selection.sequence_lengths)) for model in selection.models))


def _refuse_files(by_model: dict[ModelSpec, dict[str, list[Workload]]]) -> None:
    """Raises BadInput for a file that no model can be asked by."""
    eager = backends.variants()[backends.REFERENCE]
    reasons: dict[str, list[str | None]] = {}
    for model, workloads in by_model.items():
        for work in (work for works in workloads.values() for work in works if work.option):
            reasons.setdefault(work.option, []).append(work.refuses(model, *eager))
    for option, found in reasons.items():
        if all(found):
            raise BadInput(f"{option}: {found[0]}")


def _models(selection: Selection) -> dict[ModelSpec, list[str]]:
    """Each model with its experiments: all of them on models that were named; else those that the default model has no
    head for on models of their own."""
    if selection.models_named:
        return {model: list(EXPERIMENTS) for model in selection.models}
    found = {model: [name for name, experiment in EXPERIMENTS.items() if experiment.model is None]
             for model in selection.models}
    for name, experiment in EXPERIMENTS.items():
        if experiment.model is not None:
            found.setdefault(resolve(experiment.model, selection.seed), []).append(name)
    return found


def _rebuilt(works: list[OneBatch], selection: Selection) -> list[OneBatch]:
    """The batches of the latency experiment that a variant is built for whose build serves one shape.

    In the default grid one: compiling for all of them would take longer than everything else together.
    """
    if not works or len(selection.built_shapes) == len(selection.shapes):
        return works
    return [max(works, key=lambda work: (-work.batch_size, work.sequence_length))]


def as_text(cases: list[Case], about: str) -> str:
    """The plan as `--list-cases` prints it: one line a case that runs, then the others by reason.

    Args:
        cases: those that were asked for.
        about: how long those that run will take.
    """
    runs = [case for case in cases if case.reason is None]
    lines = [f"{case.experiment:<10}  {one_line(case.bench_id)}" for case in runs]
    lines.append(f"{count(len(runs), 'case')} {'runs' if len(runs) == 1 else 'run'}" + (f", {about}" if runs else ""))
    refused = [case for case in cases if case.reason is not None]
    for group in grouped((case.variant.name, case.reason) for case in refused):
        hint = f": {', '.join(group.hints)}" if group.hints else ""
        whom = ", ".join(group.variants)
        how = "does not run" if group.cases == 1 else "do not run"
        lines.append(one_line(f"{count(group.cases, 'case')} {how}: {group.label}{hint} ({whom})"))
    return "\n".join(lines)


def in_order(items: list, case_ids: list[str]) -> None:
    """Sort the tests of cases among themselves: a variant is built once, whichever files its experiments are in."""
    rank = {case_id: index for index, case_id in enumerate(case_ids)}
    places = [index for index, item in enumerate(items) if "case" in getattr(item, "fixturenames", ())]
    ordered = sorted((items[index] for index in places), key=lambda item: rank[item.callspec.params["case"]])
    for index, item in zip(places, ordered, strict=True):
        items[index] = item
