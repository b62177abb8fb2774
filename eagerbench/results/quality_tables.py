"""Table of the quality experiment: what a variant does to sentence embeddings."""

from typing import Any

from eagerbench.results.grid import Grid

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    """One table a set of sentences, the fewest changed neighbours first."""
    return [_table(model, [record for record in records if record["workload"] == workload])
            for workload in dict.fromkeys(record["workload"] for record in records)]


def _table(model: str, records: list[Record]) -> Grid:
    pairs_scored = next((record["pairs_scored"] for record in records if "spearman" in record), None)
    scored = pairs_scored is not None
    header = ["variant", "neighbours changed", "neighbours kept", "cosine, mean", "cosine, least", "largest error",
              *(["Spearman", "against eager's"] if scored else [])]
    rows = [_row(record, scored) for record in sorted(records, key=lambda record: record["neighbours_changed"])]
    said = f", {records[0]['truncated_sentences']} cut" if records[0]["truncated_sentences"] else ""
    note = f"Mean-pooled embeddings of {records[0]['sentences']} sentences{said}, compared with eager's"
    if "distinct_sentences" in records[0]:  # older files counted twins as neighbours
        note += f"; neighbours among the {records[0]['distinct_sentences']} different ones"
    note += "."
    if scored:
        note += f" Spearman: rank correlation of a pair's cosine with its score, {pairs_scored} pairs."
    return Grid(f"{model}: quality of embeddings, {records[0]['workload']}", header, rows, note)


def _row(record: Record, scored: bool) -> list[str]:
    return [record["variant"], f"{record['neighbours_changed']:.1%}", f"{1 - record['neighbours_changed']:.1%}",
            f"{record['cosine_mean']:.5f}", f"{record['cosine_min']:.5f}", f"{record['max_abs_error']:.1e}",
            *(_spearman(record) if scored else [])]


def _spearman(record: Record) -> list[str]:
    if "spearman" not in record:
        return ["–", "–"]
    return [f"{record['spearman']:.4f}", f"{record['spearman'] - record['spearman_eager']:+.4f}"]
