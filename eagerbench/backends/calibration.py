"""Inputs to calibrate post-training quantisation with: never the benchmark's own.

Texts on other subjects than those of `eagerbench.workloads.sentences`, written for this project; for models without a
tokenizer ids or pixels of another seed than the benchmark's.
"""

from typing import TYPE_CHECKING

import numpy as np

from eagerbench.workloads import workload
from eagerbench.workloads.padded_batch import pad, tokenise

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

_BATCHES, _ROWS, _LONGEST = 48, 2, 128
_OTHER_SEED = 1_000_003  # added to the benchmark's own


def calibration_batches(model: "LoadedModel") -> list[dict[str, np.ndarray]]:
    """Named input arrays of 48 batches of two rows: up to 128 tokens long, padded and masked as in use, or images."""
    seed = model.spec.seed + _OTHER_SEED
    rng = np.random.default_rng(seed)
    longest = min(model.spec.max_length or _LONGEST, _LONGEST)
    if model.tokenizer is None:
        lengths = rng.integers(min(4, longest), longest + 1, _BATCHES)
        return [workload(model.spec, _ROWS, int(length), seed + index).inputs(model)
                for index, length in enumerate(lengths)]
    return [_text_batch(model, longest, rng) for _ in range(_BATCHES)]


def _text_batch(model: "LoadedModel", longest: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows of one to eight texts each; the shorter ones padded to the longest."""
    texts = [" ".join(rng.choice(CALIBRATION_TEXTS, rng.integers(1, 9))) for _ in range(_ROWS)]
    rows = [tokenise(model, text, longest) for text in texts]
    return pad(rows, model, max(map(len, rows)))


CALIBRATION_TEXTS = (
    "The ferry crosses the strait four times a day, weather permitting.",
    "Which vaccine does a child need before starting kindergarten?",
    "A blacksmith heated the iron until it glowed and hammered it into a hook.",
    "The referee stopped the match after lightning struck a floodlight.",
    "Sourdough needs time, patience and a warm corner.",
    "Compile the program again with warnings enabled and read the first one.",
    "Penguins huddle together, and those at the edge move inwards in turn.",
    "The tenant must give two months' notice in writing.",
    "Her grandmother's quilt was stitched from old work shirts.",
    "Prices at the fish market fall sharply in the last half hour.",
    "The telescope's mirror is polished to within a few nanometres.",
    "Can I bring a folding bike on the tram during rush hour?",
    "Dry the basil slowly or it loses its scent.",
    "The mayor promised new playgrounds, but the money went to parking lots.",
    "A stray comma made the script delete the wrong directory.",
    "The mountain hut serves lentil soup and has twelve beds.",
    "Inflation hurts savers more than borrowers.",
    "Take one tablet with food every eight hours.",
    "The puppeteer hid behind a black curtain and spoke in three voices.",
    "Migrating cranes rest in the flooded meadows each autumn.",
    "The warranty does not cover damage caused by water.",
    "Twelve jurors listened to six weeks of testimony.",
    "Our neighbour's rooster has no respect for Sundays.",
    "A small leak in the roof ruined the carpet.",
    "The poem rhymes only in its final line.",
    "Charge the drill overnight before its first use.",
    "Scientists found traces of ancient wheat in the clay pots.",
    "The bank declined the card although the account was not empty.",
    "Why does bread go stale faster in the refrigerator?",
    "The sailors reefed the mainsail as the wind picked up.",
    "Half of the survey's answers came from a single town.",
    "Wash dark colours separately in cold water.",
    "The pianist played the encore from memory, eyes closed.",
    "Traffic on the ring road is backed up for nine kilometres.",
    "An index on that column would make the query much quicker.",
    "The hedgehog rolled into a ball beneath the woodpile.",
    "Parliament will vote on the amendment next Tuesday.",
    "The gardener pruned the pear tree in February.",
    "Low tide uncovers the wreck of a wooden schooner.",
    "Do you offer a discount for students or retired people?",
    "The nurse measured his blood pressure twice.",
    "Steel expands in summer, so bridges have joints.",
    "They named the comet after the amateur who discovered it.",
    "The sequel was longer, louder and less funny than the first film.",
    "Mix the grout to the thickness of toothpaste.",
    "The accountant noticed that the totals differed by exactly one cent.",
    "Wolves returned to the valley after a century's absence.",
    "Our hotel room overlooked a courtyard full of lemon trees.",
    "The apprentice learned to cut dovetails by hand.",
    "Press and hold both buttons until the light blinks green.",
    "A landslide closed the only road to the monastery.",
    "The startup ran out of cash two weeks before its launch.",
    "Chess clocks were introduced to stop endless games.",
    "The translator struggled with a pun that works in no other language.",
    "Solar panels on the barn power the milking machines.",
    "The coroner recorded an open verdict.",
    "Children chased soap bubbles across the square.",
    "The algorithm sorts in place and needs no extra memory.",
    "Salt the aubergine, wait, and pat it dry.",
    "The goalkeeper guessed right and still could not reach the ball.",
    "Moss grows on the shady side of the wall.",
    "The customs officer opened the crate and found antique clocks.",
    "Her thesis compares the dialects of two neighbouring islands.",
    "The kettle whistled just as the doorbell rang.",
)
