"""Table of the generation experiment."""

from typing import Any

from eagerbench.results.grid import Grid

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    """One table a batch size and length, whatever the cache; the fastest first."""
    places = list(dict.fromkeys(_place(record) for record in records))
    return [_table(model, place, [record for record in records if _place(record) == place]) for place in places]


def _place(record: Record) -> tuple[int, int, int]:
    return record["batch_size"], record["sequence_length"], record["new_tokens"]


def _table(model: str, place: tuple[int, int, int], records: list[Record]) -> Grid:
    batch, prompt, new = place
    eager = next((record for record in records if record["variant"] == "eager" and record["cache"] == "dynamic"), None)
    header = ["variant", "cache", "tokens/s", "times eager", "first token", "a later token", "tokens",
              "largest error"]
    rows = [_row(record, eager) for record in sorted(records, key=lambda record: -record["tokens_per_s"])]
    return Grid(f"{model}: generation, batch {batch}, {prompt} tokens and {new} new ones", header, rows,
                "Greedy generate(). Times eager: over eager with a dynamic cache, not in turns: no interval. Tokens: "
                "eager's, or the first other one and by how much eager prefers its own there, of the allowed. "
                "Largest error: of the logits as far as the text is the same.")


def _row(record: Record, eager: Record | None) -> list[str]:
    times = f"{record['tokens_per_s'] / eager['tokens_per_s']:.2f}" if eager else "–"
    tokens = "eager's" if record["identical_ids"] else (
        f"other at {record['parted_at']}, gap {record['logit_gap']:.2g} (of {record['largest_gap_allowed']:.2g})")
    return [record["variant"], record["cache"], f"{record['tokens_per_s']:.1f}", times,
            f"{1000 * record['time_to_first_token_s']:.1f} ms", f"{1000 * record['time_per_output_token_s']:.1f} ms",
            tokens, f"{record['max_abs_error']:.1e}"]
