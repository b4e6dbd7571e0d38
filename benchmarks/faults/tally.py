"""What a scenario of faults tried and found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """What one scenario tried and found; all but the first two ought to be 0."""

    what: str
    kills: int = 0
    lost: int = 0
    twice: int = 0
    damaged: int = 0
    otherwise: int = 0

    def __str__(self) -> str:
        return (
            f"| {self.what} | {self.kills} | {self.lost} | {self.twice} | {self.damaged} | "
            f"{self.otherwise} |"
        )
