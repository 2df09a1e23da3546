"""What every statistic returns."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A statistic of a sample; whatever a method does not give is NaN.

    Attributes:
        estimate: Its value.
        low: Lower end of the interval.
        high: Upper end of the interval.
        p: Of the test that ``method`` names.
        method: Definition, interval and test, in words that can be printed.
        n: Rows (examinations) that entered.
    """

    estimate: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    method: str = ""
    n: int = 0

    def as_metric(self) -> dict[str, float | str | int]:
        """Returns the six fields, as they stand in ``metrics.json``."""
        return {
            "estimate": float(self.estimate),
            "low": float(self.low),
            "high": float(self.high),
            "p": float(self.p),
            "method": self.method,
            "n": int(self.n),
        }
