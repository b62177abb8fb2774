"""Typed records for tests: complete and checked by their types, with whatever a test gives by field name."""

from typing import Any

from msgspec import inspect

from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import older
from eagerbench.results.decode import decode
from eagerbench.results.record import Record, to_json

# What an experiment demands beside its required fields.
_DEMANDED = {"startup": {"break_even_missing": "not faster"}, "memory": {"peak_rss_bytes": 1},
             "quality": {"neighbours_changed": 0.5},
             "serving": {"queries_missing": "p99 is over 50 ms"}}


def made(experiment: str = "latency", **fields: Any) -> Record:
    """A record of an experiment. Fields that are not given have a value that their type allows, or its default."""
    model, variant = fields.get("model", "m"), fields.get("variant", "eager")
    workload, device = fields.get("workload", "b1-s8"), fields.get("device", "cpu")
    marked = () if experiment == "latency" else (experiment,)
    named = {"experiment": experiment, "model": model, "variant": variant, "workload": workload, "device": device,
             "bench_id": "/".join((model, variant, *marked, workload, device)), "allocator": "pinned",
             "dtype": "float32"}
    values = {field.encode_name: _value(field.type) for part in older.topics(EXPERIMENTS[experiment].record).values()
             for field in inspect.type_info(part).fields if field.required}
    return decode({**values, **named, **_DEMANDED.get(experiment, {}), **fields})


def saved_file(*made_records: Record) -> dict[str, Any]:
    """What pytest-benchmark saves of them, as far as it is read: each took a second."""
    return {"benchmarks": [{"extra_info": to_json(record), "stats": {"median": 1.0}} for record in made_records]}


def _value(kind: inspect.Type) -> Any:
    match kind:
        case inspect.UnionType():
            return None if kind.includes_none else _value(kind.types[0])
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return max(kind.ge or 0, 1)
        case inspect.FloatType():
            return 0.5 if kind.le == 1 or kind.lt == 1 else 1.0
        case inspect.StrType():
            return "0" * 64 if kind.pattern == "^[0-9a-f]{64}$" else "x"
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.ListType():
            return [_value(kind.item_type)] * (kind.min_length or 0)
        case inspect.StructType():
            return {field.encode_name: _value(field.type) for field in inspect.type_info(kind.cls).fields
                    if field.required}
        case _:
            return {}
