"""When a child that died is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """At once after the first death, then after pauses that double, and at once again after a good while alive.

    Attributes:
        base_s: the pause after the second death in a row.
        longest_s: no pause is longer.
        good_s: a child that lived this long has proved itself, and its earlier deaths are forgotten.
    """

    base_s: float = 0.5
    longest_s: float = 30.0
    good_s: float = 10.0
    deaths: int = 0

    def after(self, lived_s: float) -> float:
        """Counts a death and says how long to wait, in seconds."""
        if lived_s >= self.good_s:
            self.deaths = 0
        self.deaths += 1
        if self.deaths == 1:
            return 0.0
        return min(self.longest_s, self.base_s * 2.0 ** min(self.deaths - 2, 30))
