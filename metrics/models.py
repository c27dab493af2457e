"""What the ledger adds up to."""

import pgtrigger
from django.db import models

from elections.models import Constituency, Election


class HourlyStats(models.Model):
    """What one constituency did in one hour, equal to the ledger at every commit."""

    election = models.ForeignKey(
        Election, on_delete=models.PROTECT, related_name="hourly_stats"
    )
    constituency = models.ForeignKey(
        Constituency,
        on_delete=models.PROTECT,
        related_name="hourly_stats",
        # The unique constraint begins with it.
        db_index=False,
    )
    hour = models.DateTimeField(
        help_text="Start of the hour in the constituency's zone."
    )
    timestamp = models.DateTimeField(help_text="When this row changed last.")
    # Signed: PostgreSQL checks the proposed row of an upsert before it
    # resolves the conflict, so a rolled-back vote (−1) would be refused.
    bulletins_issued = models.BigIntegerField(
        default=0, help_text="Ballots handed out."
    )
    votes_cast = models.BigIntegerField(
        default=0, help_text="Accepted votes, one per voter key."
    )
    revotes = models.BigIntegerField(
        default=0, help_text="Further accepted votes by a key that has voted."
    )
    transaction_count = models.BigIntegerField(
        default=0, help_text="Transactions of any kind that are not rolled back."
    )
    failed_count = models.BigIntegerField(
        default=0, help_text="Transactions that the contract refused."
    )
    participation_rate = models.FloatField(
        null=True,
        help_text="Votes cast in this hour per 100 registered voters.",
    )
    anomaly_count = models.IntegerField(default=0, help_text="Rules with a finding.")
    version = models.BigIntegerField(default=1, help_text="Grows with every change.")

    class Meta:
        verbose_name_plural = "hourly statistics"
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "hour"], name="one_row_per_constituency_hour"
            ),
        ]
        indexes = [
            # The hours of an election, in order.
            models.Index(fields=["election", "hour"], name="stats_by_election_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.constituency_id} {self.hour:%Y-%m-%d %H:%M}"


class RegisterOfConstituency(Constituency):
    """A constituency as the owner of the rates that depend on its register."""

    class Meta:
        proxy = True
        triggers = [
            # Whoever changes the register (a list on the ledger, staff, a bulk import):
            # the rates of all its hours change in the same database transaction.
            pgtrigger.Trigger(
                name="rewrite_participation",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(
                    old__registered_voters__df=pgtrigger.F("new__registered_voters")
                ),
                func="""
                    UPDATE metrics_hourlystats
                    SET participation_rate =
                            votes_cast * 100.0::float8 / NULLIF(NEW.registered_voters, 0),
                        version = version + 1
                    WHERE constituency_id = NEW.id;
                    RETURN NEW;
                """,
            )
        ]
