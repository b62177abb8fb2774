from verify import MANIFEST


def finish(outputs, inputs):
    """The model's own outputs."""
    return outputs


def show(outputs, given):
    """Each text's tokens with their labels."""
    for row, scores in zip(encoded(given), outputs["logits"], strict=True):
        labels = [MANIFEST["labels"][place] for place in scores.argmax(-1)]
        marked = zip(row.tokens, labels, row.special_tokens_mask, strict=True)
        print(" ".join(f"{token}/{label}" for token, label, special in marked if not special))
