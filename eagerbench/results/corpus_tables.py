"""Tables and plot of the corpus experiment: throughput by batch size and policy."""

from typing import Any

from eagerbench.results.grid import Grid

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    """One pair of tables a corpus."""
    grids = []
    for corpus in dict.fromkeys(record["corpus_sha256"] for record in records):
        found = [record for record in records if record["corpus_sha256"] == corpus]
        grids += [_throughput(model, found), _padding(model, found)]
    return grids


def series(records: list[Record]) -> dict[tuple[str, str], dict[int, Record]]:
    """(variant, policy) → batch size → record, batch sizes ascending."""
    found: dict[tuple[str, str], dict[int, Record]] = {}
    for record in sorted(records, key=lambda record: record["batch_size"]):
        found.setdefault((record["variant"], record["policy"]), {})[record["batch_size"]] = record
    order = {record["variant"]: index for index, record in reversed(list(enumerate(records)))}
    return dict(sorted(found.items(), key=lambda item: order[item[0][0]]))


def best_of(by_batch: dict[int, Record]) -> Record:
    return max(by_batch.values(), key=lambda record: record["sentences_per_s"])


def _throughput(model: str, records: list[Record]) -> Grid:
    found = series(records)
    sizes = sorted({record["batch_size"] for record in records})
    shown = sizes if len(sizes) > 1 else []
    rows = []
    for (variant, policy), by_batch in found.items():
        best = best_of(by_batch)
        rows.append([variant, policy, f"{best['sentences_per_s']:.1f}", f"b{best['batch_size']}",
                     f"{best['tokens_per_s']:.0f}", _times_eager(best, found.get(("eager", policy))),
                     f"{max(record['max_abs_error'] for record in by_batch.values()):.1e}",
                     *(f"{by_batch[size]['sentences_per_s']:.1f}" if size in by_batch else "–" for size in shown)])
    header = ["variant", "policy", "sentences/s", "best at", "real tokens/s", "times eager", "largest error",
              *(f"b{size}" for size in shown)]
    return Grid(f"{model}: corpus throughput", header, rows, _note(records[0]) + (
        " Times eager: over eager's best by the same policy, measured minutes apart and not in turns: no interval."
        f" Fastest of all: {_fastest(records)}."))


def _times_eager(best: Record, eager: dict[int, Record] | None) -> str:
    return f"{best['sentences_per_s'] / best_of(eager)['sentences_per_s']:.2f}" if eager else "–"


def _fastest(records: list[Record]) -> str:
    best = max(records, key=lambda record: record["sentences_per_s"])
    return (f"{best['variant']}, {best['policy']} in batches of {best['batch_size']}, "
            f"{best['sentences_per_s']:.1f} sentences/s")


def _note(record: Record) -> str:
    counted = {"blank lines skipped": record["blank_lines"],
               f"sentences cut at {record['token_limit']} tokens": record["truncated_sentences"]}
    said = "".join(f", {count} {what}" for what, count in counted.items() if count)
    return (f"{record['sentences']} sentences of {record['real_tokens'] / record['sentences']:.1f} tokens on average, "
            f"{record['longest_sentence']} at most{said}; median of {record['passes']} passes.")


def _padding(model: str, records: list[Record]) -> Grid:
    """Padding depends on policy and batch size only."""
    efficiency = {(record["policy"], record["batch_size"]): record["padding_efficiency"] for record in records}
    sizes = sorted({size for _, size in efficiency})
    policies = list(dict.fromkeys(policy for policy, _ in efficiency))
    rows = [[policy, *(f"{efficiency[policy, size]:.0%}" if (policy, size) in efficiency else "–" for size in sizes)]
            for policy in policies]
    return Grid(f"{model}: padding efficiency", ["policy", *(f"b{size}" for size in sizes)], rows,
                "Real tokens of all that are computed.")
