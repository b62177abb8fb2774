def finish(outputs, inputs):
    """The model's own outputs."""
    return outputs


def show(outputs, given):
    """The part of each context, at most 30 tokens, whose start and end have the largest sum of scores."""
    pairs = zip(encoded(given), given[1::2], outputs["start_logits"], outputs["end_logits"], strict=True)
    for row, context, starts, ends in pairs:
        inside = [place for place, part in enumerate(row.sequence_ids) if part == 1]
        spans = [(first, last) for first in inside for last in inside if first <= last < first + 30]
        first, last = max(spans, key=lambda span: starts[span[0]] + ends[span[1]])
        print(context[row.offsets[first][0]:row.offsets[last][1]])
