"""The logical rules, held against the ledger of one election."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial

import numpy as np
from django.db import transaction

from anomalies import logical_queries as queries
from anomalies.logical_queries import FeedState, Terms
from anomalies.rules.findings import Finding, Unverifiable
from anomalies.rules.logical import (
    Acts,
    H01VotesExceedBulletins,
    H02RegisterExceeded,
    H03OutsideWindow,
    H04RewrittenTransaction,
    H05DoubleVote,
    H06DoubleIssue,
    H07ForeignIssuer,
    H09FeedGap,
    H10HistoryChanged,
    Hours,
    LogicalRule,
    Place,
)
from anomalies.rules.logical.rule import ONE_HOUR
from anomalies.services.apart import Apart
from elections.models import Election
from transactions.operations import Operation

# A call that is sent again is there twice until its first attempt is rolled back, which
# takes minutes, and at times reaches into the next hour's file.
ROLLBACK_GRACE = ONE_HOUR

Answer = Finding | Unverifiable


@dataclass(slots=True)
class Verdict:
    """What the rules found, and where they could not be applied."""

    findings: list[Finding] = field(default_factory=list)
    unverifiable: list[Unverifiable] = field(default_factory=list)

    def add(self, answers: Iterable[Answer | None]) -> None:
        """Sort answers in; None is what was fine."""
        for answer in answers:
            if isinstance(answer, Finding):
                self.findings.append(answer)
            elif answer is not None:
                self.unverifiable.append(answer)


class LogicalRules:
    """Finds what the ledger of an election cannot show if it is complete."""

    def __init__(
        self, election: Election, *, outside_window: H03OutsideWindow | None = None
    ) -> None:
        self.election = election
        self._outside_window = outside_window or H03OutsideWindow()

    def find(
        self, *, hours: Collection[datetime] | None = None, now: datetime
    ) -> Verdict:
        """Hold all rules against the election as it is known at `now`.

        `hours` (None: all) restricts the rules of single transactions, H03, H05, H06 and
        H07, to hours that were touched. The others are told in full each time: what is
        missing, and how long an excess has lasted, changes with the clock, and a line
        whose content is refused touches no hour. H06 then tells the whole of a contract,
        as the bulletin before can be days older.
        """
        return _Tick(self.election.pk, self._outside_window, hours, now).verdict()


class _Tick:
    """One evaluation: what several rules read is read once."""

    def __init__(
        self,
        election_id: int,
        outside_window: H03OutsideWindow,
        hours: Collection[datetime] | None,
        now: datetime,
    ) -> None:
        self.election_id = election_id
        self.outside_window = outside_window
        self.hours = hours
        self.now = now

    def verdict(self) -> Verdict:
        """Apply the rules one by one."""
        rules: tuple[
            tuple[type[LogicalRule], Callable[[], Iterable[Answer | None]]], ...
        ]
        rules = (
            (H01VotesExceedBulletins, self._votes_exceed_bulletins),
            (H02RegisterExceeded, self._register_exceeded),
            (H03OutsideWindow, self._acts_outside_window),
            (H04RewrittenTransaction, self._rewritten_transactions),
            (H05DoubleVote, self._double_votes),
            (H06DoubleIssue, self._double_issues),
            (H07ForeignIssuer, self._foreign_issuers),
            (H09FeedGap, self._feed_gaps),
            (H10HistoryChanged, self._changed_files),
        )
        verdict, apart = Verdict(), Apart(self.election_id)
        for rule, answers in rules:
            verdict.add(apart.run(partial(_listed, answers), rule.code) or ())
        verdict.add(apart.unverifiable)
        return verdict

    @cached_property
    def _terms(self) -> dict[int, Terms]:
        return queries.terms_of(self.election_id)

    @cached_property
    def _feeds(self) -> dict[int, FeedState]:
        return queries.feed_states(self.election_id, now=self.now)

    @cached_property
    def _exceeding(self) -> dict[int, Hours]:
        """Return the hours so far of constituencies where a total was ever too large.

        Those with missing files are left out: nobody can tell.
        """
        # A constituency that was registered since the feeds were read waits a tick.
        feeds, found = self._feeds, {}
        for place, series in queries.exceeding_totals(self.election_id).items():
            if place not in feeds or self._gap_of(place):
                continue
            hours, issued, cast = series
            until = self._last_tick(place, hours)
            if until is not None and until >= hours[0]:
                found[place] = _ticks(hours, issued, cast, until=until)
        return found

    def _last_tick(self, place: int, hours: list[datetime]) -> datetime | None:
        """Return the last hour to judge: all there are, once the voting has closed."""
        feed = self._feeds[place]
        last = feed.last_hour(now=self.now)
        return max(hours[-1], last or hours[-1]) if self._is_closed(place) else last

    def _is_closed(self, place: int) -> bool:
        return self._feeds[place].is_closed(now=self.now)

    def _gap_of(self, place: int) -> str | None:
        """Return why totals of a constituency cannot be judged, None where they can."""
        feed = self._feeds[place]
        if not feed.is_fed_by_files:
            return None
        if feed.missing:
            return "files_missing"
        return None if feed.expected else "window_unknown"

    def _at(self, place: int) -> Place:
        return Place(self.election_id, place)

    def _gaps(self, rule: LogicalRule) -> Iterator[Unverifiable]:
        """Yield the constituencies whose totals cannot be judged."""
        for place in self._terms:
            if reason := self._gap_of(place):
                yield rule.unverifiable(self._at(place), reason)

    def _votes_exceed_bulletins(self) -> Iterator[Answer | None]:
        rule = H01VotesExceedBulletins()
        yield from self._gaps(rule)
        for place, hours in self._exceeding.items():
            is_closed = self._is_closed(place)
            yield rule.evaluate(self._at(place), hours, is_closed=is_closed)

    def _register_exceeded(self) -> Iterator[Answer | None]:
        rule = H02RegisterExceeded()
        yield from self._gaps(rule)
        highest = queries.highest_registers(self._exceeding)
        for place, terms in self._terms.items():
            registered = terms.registered_voters
            if self._gap_of(place):
                continue
            if registered is None:
                yield rule.unverifiable(self._at(place), "register_unknown")
            elif place in self._exceeding:
                yield rule.evaluate(
                    self._at(place),
                    self._exceeding[place],
                    registered=registered,
                    highest=highest.get(place),
                )

    def _acts_outside_window(self) -> Iterator[Answer | None]:
        rule = self.outside_window
        windows = {place: terms.window for place, terms in self._terms.items()}
        for place, terms in self._terms.items():
            if terms.has_ballots and not terms.window.is_known:
                yield rule.unverifiable(self._at(place), "window_unknown")
        known = {place: window for place, window in windows.items() if window.is_known}
        found = queries.acts_outside(self.election_id, known, hours=self.hours)
        for (place, hour), acts in found.items():
            yield rule.evaluate(
                self._at(place),
                hour,
                windows[place],
                issues=acts.get(Operation.BULLETIN_ISSUED, Acts()),
                votes=acts.get(Operation.VOTE_CAST, Acts()),
            )

    def _rewritten_transactions(self) -> Iterator[Answer | None]:
        rule = H04RewrittenTransaction()
        found = queries.rewritten_transactions(self.election_id)
        for (place, hour), conflicts in found.items():
            yield rule.evaluate(self._at(place), hour, conflicts)

    def _double_votes(self) -> Iterator[Answer | None]:
        rule = H05DoubleVote()
        found = queries.further_votes(self.election_id, hours=self.hours)
        for (place, hour), votes in found.items():
            terms = self._terms.get(place)
            allowed = terms.revoting_allowed if terms else None
            yield self._settled(
                rule.evaluate(self._at(place), hour, votes, revoting_allowed=allowed)
            )

    def _double_issues(self) -> Iterator[Answer | None]:
        rule = H06DoubleIssue()
        found = queries.repeated_issues(self.election_id, hours=self.hours)
        for place, issues in found.items():
            yield from map(self._settled, rule.evaluate(self._at(place), issues))

    def _settled(self, finding: Finding | None) -> Finding | None:
        """Return a finding once a rollback of one of the two would have come."""
        if finding is None:
            return None
        is_over = finding.ended_hour + ONE_HOUR + ROLLBACK_GRACE <= self.now
        return finding if is_over else None

    def _foreign_issuers(self) -> Iterator[Answer | None]:
        rule = H07ForeignIssuer()
        found = queries.foreign_issues(self.election_id, hours=self.hours)
        for (place, hour), issues in found.items():
            yield rule.evaluate(
                self._at(place),
                hour,
                issues.issuers,
                total=issues.total,
                registrar=issues.registrar if issues.is_known else None,
                presumed=issues.registrar,
            )

    def _feed_gaps(self) -> Iterable[Answer | None]:
        feeds = [state.expected for state in self._feeds.values()]
        known = [feed for feed in feeds if feed is not None]
        return H09FeedGap().evaluate(election=self.election_id, feeds=known)

    def _changed_files(self) -> Iterator[Answer | None]:
        rule = H10HistoryChanged()
        for (place, hour), versions in queries.file_versions(self.election_id).items():
            yield rule.evaluate(self._at(place), hour, versions)


def _listed(answers: Callable[[], Iterable[Answer | None]]) -> list[Answer | None]:
    """Return the answers of a rule, in a transaction that its failure spoils alone."""
    with transaction.atomic():
        return list(answers())


def _ticks(
    hours: list[datetime], issued: list[int], cast: list[int], *, until: datetime
) -> Hours:
    """Return the totals of the hours that have any, and at `until`.

    Not of silent ones: a time stamp that is decades off would make them 200,000.
    """
    first = hours[0]
    # By division: where the clock is moved by half an hour, hours overlap.
    number = [(hour - first) // ONE_HOUR for hour in hours]
    last = (until - first) // ONE_HOUR
    ticks, places = np.unique([*number, last], return_inverse=True)
    issues, votes = np.zeros((2, len(ticks)), np.int64)
    np.add.at(issues, places[:-1], issued)
    np.add.at(votes, places[:-1], cast)
    past = ticks <= last
    started = [first + int(tick) * ONE_HOUR for tick in ticks[past]]
    return Hours.of(started, issues[past], votes[past])
