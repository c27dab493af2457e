"""Rules that fail say so, and stop no others."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from anomalies.rules.findings import Unverifiable
from elections.database import is_away

logger = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


class Apart:
    """Applies the rules of one evaluation, and remembers which of them failed."""

    def __init__(self, election_id: int) -> None:
        self.election_id = election_id
        self._failed: dict[str, None] = {}

    def run(self, work: Callable[[], Answer], *rules: str) -> Answer | None:
        """Return what the work of these rules gives; None where it failed.

        What has failed for a rule is not tried again.
        """
        if self.has_failed(*rules):
            return None
        try:
            return work()
        except Exception as error:
            if is_away(error):
                # No fault of the rules: the update is tried again.
                raise
            # Whatever a rule runs into: the others still look, and staff see that it did not.
            logger.exception("Rules failed", rules=rules, election_id=self.election_id)
            self._failed |= dict.fromkeys(rules)
            return None

    def has_failed(self, *rules: str) -> bool:
        """Tell whether one of these rules failed."""
        return any(rule in self._failed for rule in rules)

    @property
    def unverifiable(self) -> list[Unverifiable]:
        """Return the rules that failed, as what nobody could look at."""
        return [
            Unverifiable(rule=rule, constituency=None, reason="rule_failed")
            for rule in self._failed
        ]
