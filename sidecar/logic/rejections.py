"""Is it the request or is it us? One that is rejected alone is set aside; several in a row accuse the upstream."""

from __future__ import annotations

from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected

IN_A_ROW = 3


class Rejections:
    """Steps with each outcome of a request that was sent alone, or of an accepted batch."""

    def __init__(self) -> None:
        self._row = 0

    def judge(self, outcome: Outcome) -> Outcome:
        """The outcome itself; `Hold` where it is the third rejection in a row with nothing accepted between."""
        match outcome:
            case Accepted() | PartlyAccepted():
                self._row = 0
            case Rejected(why):
                self._row += 1
                if self._row >= IN_A_ROW:
                    return Hold(f"{IN_A_ROW} requests in a row were rejected: {why}")
        return outcome
