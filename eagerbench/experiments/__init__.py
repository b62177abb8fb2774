"""The experiments: what each runs on a model, and how it times it. A new one is a line here, a perf test that names
it (`@pytest.mark.experiment("name")`), a table in `results/experiment_tables.py` and its own fields in the schema."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from eagerbench import workloads
from eagerbench.errors import BadInput
from eagerbench.fixtures.options import Selection
from eagerbench.models.specs import ModelSpec
from eagerbench.results import records
from eagerbench.results.experiment_tables import TABLES
from eagerbench.workloads.base import Workload
from eagerbench.workloads.corpus import corpus_batches
from eagerbench.workloads.length import length_batches
from eagerbench.workloads.padding import padding_pairs
from eagerbench.workloads.processes import memory_batches, startup_batches, thread_layouts
from eagerbench.workloads.prompt import prompts
from eagerbench.workloads.quality import embeddings
from eagerbench.workloads.tasks import tasks


@dataclass(frozen=True)
class Experiment:
    """A question that is put to every variant.

    Attributes:
        workloads: those of a model, for the selected grid, in running order.
        method: module of `eagerbench.measuring` whose function `measure(meter, benchmark, case, built)` times a case
            and returns a `Measured`. By name, because it imports torch.
        model: what it runs on when no model is named, where the default one has no head for it.
    """

    workloads: Callable[[ModelSpec, Selection], Sequence[Workload]]
    method: str
    model: str | None = None


DEFAULT = "latency"  # of a perf test without a marker

EXPERIMENTS = {
    "latency": Experiment(workloads.latency, "latency"),
    "corpus": Experiment(corpus_batches, "corpus"),
    "padding": Experiment(padding_pairs, "padding"),
    "length": Experiment(length_batches, "length"),
    "startup": Experiment(startup_batches, "startup"),
    "memory": Experiment(memory_batches, "memory"),
    "threads": Experiment(thread_layouts, "threads"),
    "quality": Experiment(embeddings, "quality"),
    "tasks": Experiment(tasks, "tasks", "distilbert@head=token-classification"),
    "generation": Experiment(prompts, "generation", "gpt2@layers=4"),
}


def refuse_incomplete(experiments: Mapping[str, Experiment] = EXPERIMENTS) -> None:
    """Raise BadInput for an experiment that would run and leave nothing that anyone reads."""
    in_schema = records.experiments_in_schema()
    for name, experiment in experiments.items():
        lacking = [] if find_spec(f"eagerbench.experiments.{experiment.method}") else [
            f"its method eagerbench/experiments/{experiment.method}.py"]
        lacking += [] if name in TABLES else ["a table (TABLES in eagerbench/results/experiment_tables.py)"]
        lacking += [] if name in in_schema else [
            "its fields (a branch of allOf in eagerbench/results/record.schema.json)"]
        if lacking:
            raise BadInput(f"experiment {name!r} of eagerbench/experiments lacks {' and '.join(lacking)}: add what is "
                           "missing")
