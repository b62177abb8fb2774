"""Two models on the same labels: what each answers right, and what only one of them does.

    python -m eagerbench.measuring.two_models BASE HEAD [--labels FILE] [--retrieval FILE] [--seed N] [--threads N]

prints a JSON list on its last line, for `eagerbench gate --base-model BASE --head-model HEAD -- --labels FILE`.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np

from eagerbench.backends.torch_runner import TorchRunner, exact_float32
from eagerbench.errors import BadInput, CannotRun
from eagerbench.experiments.quality import BATCH_SIZE, first_of_equal, judged_output, tokenised
from eagerbench.measuring.sentences import Pass, embedding, of_sentences
from eagerbench.models.loading import load
from eagerbench.models.specs import resolve
from eagerbench.outputs import quality
from eagerbench.paired import Answers
from eagerbench.shown import say
from eagerbench.workloads import labelled
from eagerbench.workloads.batching import by_length
from eagerbench.workloads.labelled import LabelledTexts, RetrievalTexts


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    for name in ("base", "head"):
        parser.add_argument(name)
    for option in (labelled.LABELS, labelled.RETRIEVAL):
        parser.add_argument(option)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args(arguments)
    import torch

    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    exact_float32()
    asked = {option: file for option, file in ((labelled.LABELS, chosen.labels), (labelled.RETRIEVAL, chosen.retrieval))
             if file}
    found = [compared((chosen.base, chosen.head), option, file, chosen.seed) for option, file in asked.items()]
    say(json.dumps(found))
    return 0


def compared(models: tuple[str, str], option: str, file: str, seed: int = 0) -> dict[str, Any]:
    """How often base and head are right, or the reason why that is not known."""
    try:
        base, head = (answers(model, option, file, seed) for model in models)
    except (BadInput, CannotRun) as error:
        return {"option": option, "reason": str(error)}
    both = Answers.of(base, head)
    return {"option": option, "metric": quality.ACCURACY if option == labelled.LABELS else quality.HIT,
            "items": both.items, "base": float(base.mean()), "head": float(head.mean()), "lost": both.lost,
            "won": both.won, "p": both.p, "loss": both.loss.value, "low": both.loss.low, "high": both.loss.high}


def answers(text: str, option: str, file: str, seed: int = 0) -> np.ndarray:
    """Which items of a file a model answers right, bool (items,), by eager in float32.

    Raises:
        BadInput: there is no such model, or a label that it has not.
        CannotRun: it cannot be asked.
    """
    model = load(resolve(text, seed))
    if reason := labelled.unusable(model, option, file):
        raise CannotRun(reason)
    if option == labelled.LABELS:
        corpus = LabelledTexts(len(labelled.read_labels(file).texts), 0, file)
    else:
        read = labelled.read_retrieval(file)
        corpus = RetrievalTexts(len(read.queries) + len(read.documents), 0, file)
    rows = tokenised(corpus, model).rows
    lengths = [len(row) for row in rows]
    batches = by_length(lengths, BATCH_SIZE)
    made = Pass(TorchRunner(model.fresh(), model.device), rows, batches, model)()
    outputs = of_sentences(made, batches, lengths, embedding(model))
    found = outputs[judged_output(outputs, model, corpus)]
    if isinstance(corpus, LabelledTexts):
        return quality.right_labels(found, corpus.right(labelled.label_names(model.config.to_dict())))
    return quality.found_first(found[first_of_equal(rows)], corpus.read.relevant)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
