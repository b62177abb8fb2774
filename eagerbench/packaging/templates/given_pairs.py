from functools import cache

import numpy as np
from tokenizers import Tokenizer
from verify import HERE, MANIFEST

GIVEN = "a question and its context, one after the other"
FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


@cache
def tokenizer():
    return Tokenizer.from_file(str(HERE / "tokenizer.json"))


def encoded(given):
    """Rows of tokens, padded to the longest; of a pair that is too long the context is cut."""
    return tokenizer().encode_batch(list(zip(given[::2], given[1::2], strict=True)))


def prepare(given):
    """Question, context, question, … as arrays (pairs, tokens)."""
    return {one["name"]: np.array([getattr(row, FIELDS[one["name"]]) for row in encoded(given)], one["dtype"])
            for one in MANIFEST["inputs"]}
