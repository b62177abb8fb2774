from functools import cache

import numpy as np
from tokenizers import Tokenizer
from verify import HERE, MANIFEST

GIVEN, TEXT = "texts", MANIFEST["text"]
FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


@cache
def tokenizer():
    return Tokenizer.from_file(str(HERE / "tokenizer.json"))


def encoded(given, role=""):
    """Rows of tokens, padded to the longest and cut as tokenizer.json says."""
    texts = [TEXT["prompts"].get(role, TEXT["prompt"]) + text for text in given]
    return tokenizer().encode_batch([text.lower() for text in texts] if TEXT["lower_case"] else texts)


def prepare(given, role=""):
    """Texts as arrays (texts, tokens); `role` is query or document, where the model has prompts for them."""
    return {one["name"]: np.array([getattr(row, FIELDS[one["name"]]) for row in encoded(given, role)], one["dtype"])
            for one in MANIFEST["inputs"]}
