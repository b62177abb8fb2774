"""A record is what its types say: a misspelt field fails, older records are read, the schema is that of the types."""

import json
import re
from types import SimpleNamespace

import msgspec
import pytest
from analysis_files import analysis, benchmark_file, complete_record, misspelt, older_record, saved
from fuzzing import DATA
from made_records import made

from eagerbench.experiments import EXPERIMENTS
from eagerbench.fixtures.progress import Progress
from eagerbench.results import older, records
from eagerbench.results.bad_record import BadRecord, checked
from eagerbench.results.decode import decode
from eagerbench.results.headline import problem
from eagerbench.results.record import Costs, Engagement, to_json

ROUNDS = [0.1, 0.2]


@pytest.mark.parametrize("record", [complete_record(peak_rss_bytes=1), older_record(peak_rss_bytes=1)],
                         ids=["today", "older"])
@pytest.mark.parametrize("field", ["cosine", "peak_rss_bytes", "speedup_vs_eager", "flops", "threads"])
def test_a_misspelt_field_fails(tmp_path, capsys, record, field):
    """Also one that may be left out: what nobody reads is a mistake. In code, the type refuses it."""
    file = saved(tmp_path, "run.json", benchmark_file({"a": ROUNDS}, records={"a": misspelt(record, field)}))
    code, _, err = analysis(capsys, "check", file)
    assert code == 4
    assert f"{field}: missing" in err or f"{field}x: no such field" in err
    with pytest.raises(TypeError, match=r"[Uu]nexpected keyword argument 'costt'"):
        Costs(costt=1)


def test_an_older_record_is_the_one_of_today():
    assert decode(older_record()) == decode(complete_record())
    old = json.loads(DATA.read_text(encoding="utf-8"))["benchmarks"]
    ours = [bench["extra_info"] for bench in old if records.is_ours(bench)]
    assert len(ours) == 21
    for record in ours:
        nested = json.loads(json.dumps(to_json(decode(record))))
        assert decode(nested) == decode(record)
        told = older.flat(nested)
        assert all(told.get(name, value) == value for name, value in record.items())
        # As they were before versions kept the weights' hash apart, or named the experiment.
        shorter = {name: value for name, value in record.items() if not re.match(r"(weights|code|config)_sha256", name)}
        assert decode(shorter).identity.weights_sha256 is None
        if record["experiment"] == "latency":
            assert decode({name: value for name, value in record.items() if name != "experiment"}) == decode(record)


def test_lists_of_instances_are_as_long_as_each_other():
    assert made("threads", instances=2, instance_calls=[5, 6], instance_s=[1.0, 1.0], instance_cores=["0", "1"])
    with pytest.raises(BadRecord, match="instance_s is not one number for each of 3 instances"):
        made("threads", instances=3, instance_calls=[5, 6], instance_s=[1.0, 1.0], instance_cores=["0", "1"])
    with pytest.raises(BadRecord, match="result: instance_calls, instance_s and instance_cores have no entry for each"):
        made("threads", instance_calls=[5, 6], instance_s=[1.0], instance_cores=["0", "1"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_record_that_others_could_not_read_is_none(experiment):
    """Of a backend whose probe finds no words, or a number that is none: found out where it is made."""
    record, of = made(experiment), EXPERIMENTS[experiment].record
    assert checked(record, of) == to_json(record)
    wordless = msgspec.structs.replace(record, engagement=Engagement(engagement=""))
    with pytest.raises(BadRecord, match=r"makes no record: engagement\.engagement: expected str of length >= 1"):
        checked(wordless, of)
    undefined = msgspec.structs.replace(record, engagement=Engagement(engagement="x", facts={"share": float("nan")}))
    with pytest.raises(BadRecord, match=r"makes no record: engagement\.facts\.share is nan"):
        checked(undefined, of)


def test_a_record_that_cannot_be_read_has_no_line_and_breaks_none():
    """That of a test of somebody's own, say: pytest must not end by an internal error."""
    progress = Progress(None, None, lines=True)
    bad = {"extra_info": {"kind": "eagerbench-record", "identity": {}}, "stats": {"median": 1.0}}
    stats = SimpleNamespace(as_dict=lambda include_data: bad)
    progress.note("one", SimpleNamespace(has_error=False, stats=stats))
    assert progress._results == {"one": ""}
    assert problem(bad) == "identity.experiment: missing"
    assert problem({"extra_info": to_json(made()), "stats": {"median": 1.0}}) == ""
    assert problem({"extra_info": {}, "stats": {"median": 1.0}}) == ""


@pytest.mark.parametrize("changed", [{"model": "other"}, {"variant": "sdpa"}, {"workload": "b2-s8"},
                                     {"device": "cuda:0"}])
def test_a_bench_id_is_made_of_the_other_values(changed):
    """So that no record is taken for that of another case."""
    record = older.flat(complete_record())
    assert decode(record)
    with pytest.raises(BadRecord):
        decode({**record, **changed})


def test_the_schema_is_that_of_the_types(capsys):
    import jsonschema

    code, out, _ = analysis(capsys, "check", "--schema")
    schema = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(schema)
    fits = jsonschema.Draft202012Validator(schema).is_valid
    assert code == 0
    assert [one["title"] for one in schema["anyOf"]] == list(EXPERIMENTS)
    assert all(fits(to_json(made(name))) for name in EXPERIMENTS)
    assert not fits(misspelt(complete_record(), "cosine"))
    assert not fits({**complete_record(), "result": to_json(made("quality"))["result"]})
    assert analysis(capsys, "check")[0] == 2
