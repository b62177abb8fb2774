"""From records and a budget to a choice: `decide(sources, budget)`, a pure function, and the types of what it says."""

from eagerbench.results.decision.budget import CLASSES, LIMITS, Budget
from eagerbench.results.decision.choosing import decide, decide_on, gather_all
from eagerbench.results.decision.evidence import Source
from eagerbench.results.decision.types import (
    Candidate,
    Decision,
    Estimate,
    Excluded,
    Judged,
    Miss,
    PayBack,
    Place,
    Verdict,
    schema,
    to_json,
)

__all__ = ["CLASSES", "LIMITS", "Budget", "Candidate", "Decision", "Estimate", "Excluded", "Judged", "Miss", "PayBack",
           "Place", "Source", "Verdict", "decide", "decide_on", "gather_all", "schema", "to_json"]
