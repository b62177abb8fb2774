"""Which queries of those that wait are answered together, and when: no clock, no thread, so that a test can be both."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """
    Attributes:
        most_batch: queries that are answered in one call, at most.
        most_wait_s: seconds that the oldest query waits for others while the server is free.
    """

    most_batch: int = 1
    most_wait_s: float = 0.0


@dataclass(frozen=True)
class Query:
    """A sample that is asked for: the load generator's number of it, the sentence, and when it came in, in seconds."""

    number: int
    sample: int
    came_s: float


class Batcher:
    """Dynamic batching, as Triton's and TorchServe's: a batch goes when it is full, or when its oldest query has waited
    for `most_wait_s`.

    The oldest query is in every batch, so that none starves; the others are those nearest to it in length, since rows
    are padded to the longest.

    Args:
        lengths: tokens of each sample.
    """

    def __init__(self, policy: Policy, lengths: Sequence[int]):
        self._policy = policy
        self._lengths = lengths
        self._waiting: dict[int, Query] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, query: Query) -> None:
        self._waiting[query.number] = query

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until a batch is due if nothing else comes in: 0 where one is now, None where no query waits."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self._policy.most_batch:
            return 0.0
        oldest = next(iter(self._waiting.values()))
        return max(0.0, oldest.came_s + self._policy.most_wait_s - now_s)

    def take(self, now_s: float) -> list[Query]:
        """The batch that is due; empty where none is."""
        if self.wait_s(now_s) != 0.0:
            return []
        queries = iter(self._waiting.values())
        oldest = next(queries)
        length = self._lengths[oldest.sample]
        others = heapq.nsmallest(self._policy.most_batch - 1, queries,
                                 key=lambda query: abs(self._lengths[query.sample] - length))
        batch = [oldest, *others]
        for query in batch:
            del self._waiting[query.number]
        return batch

    def take_all(self) -> list[Query]:
        """What waits, to be given up."""
        batch = list(self._waiting.values())
        self._waiting.clear()
        return batch
