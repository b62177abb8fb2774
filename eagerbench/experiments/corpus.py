"""Corpus throughput: passes over all batches of a corpus, one after another, without eager beside them."""

import time
from statistics import median
from typing import TYPE_CHECKING, Any

from eagerbench.backends.building import Built
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.rows import Pass, expected_once, judge
from eagerbench.measuring.timing import time_alone
from eagerbench.outputs.predictions import SENTENCE_EMBEDDING
from eagerbench.plan import Case
from eagerbench.workloads.batching import padded_tokens

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time passes over a `CorpusBatches`, the first one untimed. Eager's own row is what others are compared with."""
    model, work = meter.model(case.model), case.workload
    corpus = meter.once(work.corpus, lambda: work.corpus.tokenised(model))
    batches = work.batches(corpus.lengths)
    expected = expected_once(meter, case, ("corpus", work.corpus), corpus.rows, batches)
    one_pass = Pass(built.runner, corpus.rows, batches, model)
    start = time.perf_counter()
    one_pass.first_call()
    first_call_s = time.perf_counter() - start
    timing = time_alone(benchmark, one_pass, meter.selection.time_budget, work.passes)
    comparison = judge(timing.result, batches, expected, case.variant.tolerance, model.pretrained)

    def fields() -> dict[str, Any]:
        pass_s, real, padded = median(timing.rounds), sum(corpus.lengths), padded_tokens(corpus.lengths, batches)
        return {
            "sentences_per_s": len(corpus.rows) / pass_s,
            "tokens_per_s": real / pass_s,
            "padding_efficiency": real / padded,
            "pass_s": pass_s,
            "batches": len(batches),
            "real_tokens": real,
            "padded_tokens": padded,
            "truncated_sentences": corpus.truncated,
            "token_limit": corpus.limit,
            "longest_sentence": max(corpus.lengths),
            "corpus_sha256": corpus.sha256,
            **({"pooling": model.sentence.description} if SENTENCE_EMBEDDING in expected.outputs else {}),
            "rows_depend_on_batch": expected.same_batches,
        }

    return Measured(comparison, one_pass.first_inputs, first_call_s, first_call_s + timing.spent_s,
                    fields if timing.rounds else None, timing.conditions)
