"""The generated blocks, by name."""

import ast
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, stdev

from eagerbench import backends
from eagerbench.backends.base import ExportingBackend
from eagerbench.experiments import EXPERIMENTS
from eagerbench.outputs import tolerance
from eagerbench.outputs.predictions import AGREEMENT_ROWS
from eagerbench.results import grid, last_screen, recommended, statements
from eagerbench.results.numbers import bounds, mib, milliseconds, percent, times
from scripts.docs import followed as known_history
from scripts.docs import kept, pictures, side_by_side
from scripts.docs import steps as known_steps

ROOT = Path(__file__).parents[2]
README_MODELS = ("minilm", "camembert-base")
README_PLACE = "1×128"  # short calls: many pairs of turns in a case's time
README_VARIANTS = ("sdpa", "torchscript-freeze", "onnxruntime", "openvino", "openvino-bf16", "onnxruntime-int8",
                   "openvino-int8")
RESULT_VARIANTS = ("eager", "onnxruntime", "onnxruntime-int8")
# Of experiments that no default run has.
RESULT_FILES = {"python": "cpp", "embeddings": "embeddings", "serving": "serving"}
SCREEN_LINES = 14, 4  # of the last screen that README shows: the first and the last ones


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def picture() -> str:
    return (f"![Error against time of every variant, MiniLM, {pictures.PLACE}](docs/error-time.svg)\n\n"
            f"*MiniLM, {pictures.PLACE.replace('×', ' texts of ')} tokens. Lower is faster, further left is nearer to "
            "eager's output. From the [first run](#first-run) below.*")


def results() -> str:
    """README's table."""
    found = [kept.latency("latency", model, README_PLACE) for model in README_MODELS]
    rows = []
    for variant in README_VARIANTS:
        here = [of_model.get(variant) for of_model in found]
        first = here[0]
        rows.append([code(variant), *(_speedup(headline) for headline in here),
                     percent(first.error) if first and first.error is not None else "–",
                     mib(first.artifact_bytes) if first and first.artifact_bytes else "–"])
    eager = [milliseconds(of_model["eager"].call_s) if "eager" in of_model else "–" for of_model in found]
    header = ["variant", *(f"{model}, eager {time}" for model, time in zip(README_MODELS, eager, strict=True)), "error",
              "file"]
    caption = (f"*Times faster than eager at {README_PLACE}, with the 95 % interval of one process; (!): few pairs. "
               f"Error and file: {README_MODELS[0]}. {kept.conditions('latency')}*")
    return f"{table(header, rows)}\n\n{textwrap.fill(caption, 120, break_on_hyphens=False)}"


def _speedup(headline) -> str:
    if headline is None:
        return "–"
    few = " (!)" if headline.few_pairs else ""
    return f"{times(headline.speedup)}{bounds(headline.low, headline.high)}{few}"


def first_run() -> str:
    """How long a default run takes, and what it prints at its end."""
    ours = kept.content("bench")["eagerbench"]
    warm, cold = ours["session"]["wall_s"], ours.get("cold_wall_s")
    said = f"A run took {warm / 60:.0f} minutes" + (f", the first one {cold / 60:.0f}" if cold else "")
    built = ours.get("artifacts_bytes")
    said += f"; the built models take {built / 1e9:.1f} GB" if built else ""
    whole, (first, last) = _screen(), SCREEN_LINES
    lines = "\n".join([*whole[:first], "…", *whole[-last:]])
    return f"{said}. From its last screen:\n\n```\n{lines}\n```\n\n*{kept.conditions('bench')}*"


def screen() -> str:
    return "```\n" + "\n".join(_screen()) + "\n```"


def _screen() -> list[str]:
    ran = kept.content("bench")
    session = last_screen.Session(("saved .benchmarks/…/0001_….json, also as .benchmarks/latest.json",
                                   "all tables: eagerbench summary .benchmarks/latest.json",
                                   "before and after a change: eagerbench compare OLD .benchmarks/latest.json"),
                                  summary="eagerbench summary .benchmarks/latest.json", take=recommended.short(ran),
                                  recommend="eagerbench recommend .benchmarks/latest.json --max-error 0.05",
                                  time_budget=2.0)
    return [line.text for line in last_screen.lines(kept.headlines("bench"), ran["eagerbench"]["cells"], session)]


def needs() -> str:
    """What each variant needs, of the registry."""
    rows = []
    for name, (variant, backend) in backends.variants().items():
        source = type(backend).__module__.rpartition(".")[2]
        built = "file" if isinstance(backend, ExportingBackend) else "in memory"
        packages = [package for package in backend.packages if package not in ("torch", "transformers")]
        need = f"{', '.join(packages)}: {code(backend.install)}" if packages and backend.install else "–"
        rows.append([code(name), "one" if backend.per_workload else "any", built, ", ".join(backend.devices),
                     variant.tolerance, need, f"[{source}.py](../eagerbench/backends/{source}.py)"])
    return table(["variant", "shapes", "built", "devices", "class", "needs", "source"], rows)


def classes() -> str:
    """Every number of every tolerance class."""

    def number(value: float | None, unit: str = "") -> str:
        return "–" if value is None else f"{value:g}{unit}"

    columns = {"class": lambda name, one: code(name), "rtol": lambda _, one: number(one.rtol),
               "atol": lambda _, one: number(one.atol, " RMS"), "cosine": lambda _, one: number(one.cosine),
               "largest error": lambda _, one: number(one.largest, " RMS"),
               "agreement": lambda _, one: number(one.agreement), "factor": lambda _, one: number(one.rmse_factor),
               "floor": lambda _, one: number(one.rmse_floor), "mask rtol": lambda _, one: number(one.mask_rtol),
               "overflow": lambda _, one: number(one.overflow)}
    rows = [[show(name, one) for show in columns.values()] for name, one in tolerance.CLASSES.items()]
    return (f"{table(list(columns), rows)}\n\n"
            "RMS: root mean square of eager's output. *mask rtol*: largest relative difference of a finite mask value. "
            "*overflow*: numbers beyond it count as ±∞. –: the class does not ask.\n\n"
            f"Agreement is asked of outputs with at least {AGREEMENT_ROWS} rows. Few values are fewer than "
            f"{tolerance.FEW}.")


def experiment(name: str) -> str:
    """Question, final number and sample command of an experiment."""
    doc = _docstring(name)
    final = doc.partition("Final number: ")[2].partition("Sample: ")[0]
    command = doc.partition("Sample: ")[2].strip()
    return (f"**{EXPERIMENTS[name].question}**\n\nFinal number: {' '.join(final.split())}\n\n"
            f"```sh\n{command}\n```")


def _docstring(name: str) -> str:
    tree = ast.parse((ROOT / "perf_tests" / f"test_{name}.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return textwrap.dedent(ast.get_docstring(functions[f"test_{name}"]) or "")


def result(name: str) -> str:
    """The tables of an experiment in a default run, for three variants; of a file of its own where that has none."""
    file = RESULT_FILES.get(name, "bench")
    found = [record for record in kept.of_experiment(file, name)
             if file != "bench" or record.identity.variant in RESULT_VARIANTS]
    if not found:
        return "No kept result has this experiment yet."
    model = found[0].identity.model
    source = "a default run" if file == "bench" else "a run of its own"
    return (f"{grid.as_markdown(EXPERIMENTS[name].tables(model, found))}\n"
            f"From {source} ([{file}.json](../results/{file}.json)): {kept.conditions(file)}")


def cpp() -> str:
    """What Python costs, for the page on calls from C++."""
    return result("python").replace("(../results/", "(results/")


def quality(kind: str) -> str:
    """The table of the quality experiment over texts of a kind, the beginning of their workload's name."""
    found = [record for record in kept.of_experiment("quality", "quality")
             if record.identity.workload.startswith(kind)]
    if not found:
        return "No kept result has such texts yet."
    return (f"{grid.as_markdown(EXPERIMENTS['quality'].tables(found[0].identity.model, found))}\n"
            f"From [quality.json](results/quality.json): {kept.conditions('quality')}")


def replayed() -> str:
    """Published statements on the kept results."""
    sources, published = statements.published()
    files = [name for name in ("bench", "latency", "serving") if kept.exists(name)]
    seen = [record for name in files for record in statements.records_of(kept.content(name))]
    counted = [record for record in seen if statements.fit(record)]
    judged = statements.tables([statements.judge(statement, counted) for statement in published], sources)
    made_of = " and ".join(f"[{name}.json](results/{name}.json)" for name in files)
    return f"{grid.as_markdown(judged[:3])}\nMade of {made_of}. {kept.conditions('latency')}"


def wait_policy() -> str:
    """Times `active` that each other policy takes, quiet and beside a busy core."""
    found = json.loads((kept.RESULTS / "wait-policy.json").read_text(encoding="utf-8"))
    by_case: dict[str, dict[str, dict]] = {}
    for row in found["rows"]:
        by_case.setdefault(row["case"], {})[row["machine"]] = row
    machines = dict.fromkeys(row["machine"] for row in found["rows"])
    columns = [(machine, policy) for machine in machines for policy in found["rows"][0]["ms"] if policy != "active"]
    header = ["times `active`", *(f"{machine}: {code(policy)}" for machine, policy in columns)]
    rows = [[case, *(f"{here[machine]['of_active'][policy]:.2f}" for machine, policy in columns)]
            for case, here in by_case.items()]
    return (f"{table(header, rows)}\n\nFrom [wait-policy.json](results/wait-policy.json): {found['date']}, "
            f"{found['cpu']}, {found['threads']} threads, medians of {found['visits']} visits to each process, a third "
            "of them beside the busy core.")


def quiet() -> str:
    """How many cases of the kept runs on a quiet machine were called unusable."""
    timed = [record.conditions.usable for name in ("bench", "latency") for bench in kept.content(name)["benchmarks"]
             if kept.records.is_ours(bench) and (record := kept.decode(bench["extra_info"])).conditions.turn_lost]
    return (f"Of {len(timed)} cases in turns in [bench.json](results/bench.json) and "
            f"[latency.json](results/latency.json), measured on a quiet machine, {timed.count(False)} are unusable: "
            f"{100 * timed.count(False) / len(timed):.1f} %.")


def turns() -> str:
    return ("![Calls of eager and of a variant in turns, and the ratio of each pair](turns.svg)\n\n"
            "*Pairs of turns from the kept results: each bar is one timed call, its width the time. The first call of "
            "each turn is not timed and not drawn.*")


def tree() -> str:
    return ("![Questions about you, and the variant that each answer leads to](tree.svg)\n\n"
            f"*MiniLM, {pictures.PLACE}, from [bench.json](results/bench.json): {kept.conditions('bench')}*")


def corpus() -> str:
    return ("![Sentences per second of each variant, in order and sorted by length](corpus.svg)\n\n"
            "*MiniLM, sentences/s of the median pass at the best batch size of the default run.*")


def isolation() -> str:
    """What a supervisor costs, of a file that scripts/isolation_cost.py wrote."""
    file = kept.RESULTS / "isolation.json"
    if not file.exists():
        return ("No quiet measurement is kept: `python scripts/isolation_cost.py -o docs/results/isolation.json` makes "
                "one.")
    found = json.loads(file.read_text(encoding="utf-8"))
    kinds = [found[name] for name in ("isolated_s", "not_isolated_s")]
    seconds, spread = [median(kind) for kind in kinds], max(stdev(kind) for kind in kinds)
    rows = [[code(name), f"{case['ratio']:.4f}", f"{case['spread']:.1%}", " and ".join(map(str, case["sessions"]))]
            for name, case in found["cases"].items()]
    own = (f" It used {median(found['supervisor_cpu_s']):.1f} s of processor time, and "
           f"{median(found['supervisor_rss_bytes']) / 1e6:.0f} MB of memory while it waited."
           if found.get("supervisor_rss_bytes") else "")
    machine = found["machine_info"]
    said = (f"Sessions took {seconds[0]:.1f} s with a supervisor and {seconds[1]:.1f} s without (medians of "
            f"{len(found['isolated_s'])} and {len(found['not_isolated_s'])}; between sessions of a kind they differ by "
            f"{spread:.1f} s, sd): {seconds[0] - seconds[1]:.1f} s more."
            f"{own} Speed-ups over eager with it, divided by those without:")
    header = ["case", "ratio of medians", "spread between sessions", "sessions"]
    where = f"{found['datetime'][:10]}, {machine['cpu']['brand_raw']}, {machine['usable_cores']} cores"
    return (f"{textwrap.fill(said, 120)}\n\n{table(header, rows)}\n\n*{where}; "
            "[isolation.json](results/isolation.json), made by `python scripts/isolation_cost.py`.*")


def steps() -> str:
    """Change points of three programs on series with known steps."""
    programs = kept.step_programs()
    header = ["series of 60 runs", "series", known_steps.OURS,
              *(f"{name} {programs[name]['version']}" for name in known_steps.PROGRAMS if name in programs)]
    return (f"{table(header, known_steps.rows())}\n\nSpread 1 %. Found: every step, within {known_steps.NEAR} runs. "
            "False: a step is named where none is. Each series is a report of its own. eagerbench names steps of 2 % "
            "and more, the others have no such limit.")


def followed() -> str:
    """The kept history of real runs."""
    headline, rows = known_history.summary()
    header = ["benchmark", "runs", "median ratio to eager", "spread of a run", "changes"]
    return f"{headline}.\n\n{table(header, rows)}"


BLOCKS: dict[str, Callable[..., str]] = {
    "picture": picture, "results": results, "first-run": first_run, "screen": screen, "needs": needs,
    "quality": quality, "tolerance": classes, "experiment": experiment, "result": result, "statements": replayed,
    "turns": turns, "cpp": cpp, "wait-policy": wait_policy, "quiet": quiet, "isolation": isolation, "tree": tree,
    "corpus": corpus, "steps": steps, "followed": followed, "peers": side_by_side.peers,
}
