"""When a percentile from few queries may be believed: MLPerf's early stopping, by its published rule.

Knows binomial tails. Does not know what a query is. The rule: https://github.com/mlcommons/inference_policies
(inference_rules.adoc, early stopping) and LoadGen: with confidence 0.99 the share of queries above the
reported latency is at most 1 - percentile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

CONFIDENCE = 0.99


def percentile(latencies: Sequence[float], share: float) -> float:
    """The latency at `share` (0..1) as LoadGen reads it: element floor(n * share) of the sorted list.

    Raises:
        ValueError: there are no latencies.

    >>> percentile([3.0, 1.0, 2.0, 4.0], 0.5)
    3.0
    """
    if not latencies:
        raise ValueError("no latencies")
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@lru_cache(maxsize=4096)
def passing_needed(over: int, share: float, confidence: float = CONFIDENCE) -> int:
    """How many queries must be at or below a bound when `over` are above it.

    The least h for which over of h + over queries would be above with probability under 1 - confidence if the
    share above were really 1 - share.

    >>> passing_needed(0, 0.9), passing_needed(1, 0.9), passing_needed(1, 0.99)
    (44, 63, 661)
    """
    low, high = 1, 64
    while _tail(high, over, share) >= 1 - confidence:
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        if _tail(middle, over, share) < 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return low


def _tail(passing: int, over: int, share: float) -> float:
    """Probability of at most `over` failures in passing + over trials with failure probability 1 - share."""
    n, total = passing + over, 0.0
    for failures in range(over + 1):
        ways = math.lgamma(n + 1) - math.lgamma(failures + 1) - math.lgamma(n - failures + 1)
        total += math.exp(ways + failures * math.log(1 - share) + (n - failures) * math.log(share))
    return total


def queries_needed(share: float) -> int:
    """How many queries a run needs before its percentile can be stated at all: 64 for p90, 662 for p99."""
    return passing_needed(1, share) + 1


def estimate(latencies: Sequence[float], share: float) -> float | None:
    """The percentile with confidence 0.99, from above; None where there are too few queries.

    The highest t - 1 latencies are discarded and the next is told, with the largest t for which n queries are
    enough, as LoadGen does for single-stream and multi-stream.
    """
    n = len(latencies)
    if n < queries_needed(share):
        return None
    over = 1
    while over < n and passing_needed(over + 1, share) + over + 1 <= n:
        over += 1
    return sorted(latencies)[n - over]


def bound_holds(latencies: Sequence[float], share: float, bound: float) -> bool:
    """Whether the server's bound is kept with confidence 0.99."""
    over = sum(latency > bound for latency in latencies)
    return len(latencies) >= passing_needed(over, share) + over
