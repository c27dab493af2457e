"""The oracle itself, on cases small enough to see the answer."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.oracle import Figures, File, recount

NINE = datetime(2026, 9, 18, 9, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)


def at(hour, seconds):
    return int((hour + timedelta(seconds=seconds)).timestamp() * 1000)


def line(tx_id, ts, params, diff, *, sender="server", rollback="", kind="104"):
    def listed(values):
        return json.dumps(
            [{"key": key, "stringValue": val} for key, val in values.items()]
        )

    fields = (tx_id, kind, "", "4", str(ts), sender, "0", "")
    fields += (listed(params), listed(diff), '{"contractVersion":1}', rollback)
    return ";".join(fields).encode()


def vote(tx_id, ts, key="k1", *, diff=None, rollback=""):
    written = {f"VOTE_{key}": "{}"} if diff is None else diff
    return line(
        tx_id, ts, {"operation": "vote"}, written, sender=key, rollback=rollback
    )


def issue(tx_id, ts, *users):
    data = json.dumps([{"userId": user, "maskedSig": "00"} for user in users])
    params = {"operation": "blindSigIssue", "data": data}
    return line(tx_id, ts, params, {f"BLINDSIG_{tx_id}": "[]"})


def register(operation, tx_id, *hashes):
    params = {"operation": operation, "userIdHashes": json.dumps(hashes)}
    return line(tx_id, at(NINE, 0), params, {"VOTERS_LIST_1": "{}"})


def hour_file(hour, *lines, name="file"):
    return File(name, "c", hour, list(lines))


def count(*files, zone="UTC"):
    return recount(list(files), {"c": ZoneInfo(zone)})


def test_a_batch_counts_its_entries():
    found = count(hour_file(NINE, issue("a", at(NINE, 1), "u1", "u2")))

    assert found.totals["c"] == Figures(bulletins_issued=2, transaction_count=1)


def test_the_first_vote_of_a_key_counts_whatever_the_order():
    early, late = vote("b", at(NINE, 5)), vote("a", at(TEN, 5))
    once = Figures(votes_cast=1, transaction_count=1)
    again = Figures(revotes=1, transaction_count=1)

    for lines in ((early, late), (late, early)):
        assert count(hour_file(None, *lines)).hours == {
            ("c", NINE): once,
            ("c", TEN): again,
        }


def test_of_two_votes_in_one_millisecond_the_smaller_id_counts():
    first = vote("a", at(NINE, 5), diff={"FAIL_x": "{}"})
    found = count(
        hour_file(NINE, vote("c", at(NINE, 5)), vote("b", at(NINE, 5)), first)
    )

    assert found.totals["c"] == Figures(0, 1, 1, 3, 1)


def test_an_issue_that_wrote_nothing_is_only_a_transaction():
    found = count(hour_file(NINE, vote("a", at(NINE, 1), diff={})))

    assert found.totals["c"] == Figures(transaction_count=1)


@pytest.mark.parametrize(
    ("marks", "votes"),
    [(("",), 1), (("", "-1"), 0), (("", "-1", ""), 1), (("-1", ""), 1), (("-1",), 0)],
)
def test_the_last_statement_of_a_file_holds(marks, votes):
    lines = [vote("a", at(NINE, 1), rollback=mark) for mark in marks]

    assert count(hour_file(NINE, *lines)).totals["c"].votes_cast == votes


def test_a_later_interval_holds_whatever_is_loaded_first():
    there = hour_file(NINE, vote("a", at(NINE, 1)))
    gone = hour_file(TEN, vote("a", at(NINE, 1), rollback="-1"))

    assert count(there, gone).totals == count(gone, there).totals == {"c": Figures()}


def test_on_a_tie_rolled_back_holds():
    there = hour_file(NINE, vote("a", at(NINE, 1)))
    again = hour_file(NINE, vote("a", at(NINE, 1), rollback="-1"))

    assert count(there, again).totals == count(again, there).totals == {"c": Figures()}


def test_an_hourly_file_outranks_a_dump():
    hourly = hour_file(NINE, vote("a", at(TEN, 1)))
    dump = hour_file(
        None, *(vote("a", at(TEN, 1), rollback=mark) for mark in ("", "-1"))
    )

    assert count(hourly, dump).totals == count(dump, hourly).totals
    assert count(hourly, dump).totals["c"].votes_cast == 1


def test_the_content_loaded_first_counts_and_the_other_is_a_conflict():
    first = hour_file(NINE, vote("a", at(NINE, 1)))
    other = hour_file(TEN, vote("a", at(TEN, 1)))

    found = count(first, other)

    assert found.hours == {("c", NINE): Figures(votes_cast=1, transaction_count=1)}
    assert found.conflicts == [("c", "a")]


def test_a_line_in_conflict_takes_no_ordinal():
    other = vote("a", at(TEN, 1))
    found = count(
        hour_file(NINE, vote("a", at(NINE, 1))),
        hour_file(NINE, other, vote("a", at(NINE, 1), rollback="-1")),
    )

    assert found.totals["c"].votes_cast == 0


def test_the_register_is_added_plus_restored_less_removed():
    found = count(
        hour_file(
            NINE,
            register("addVotersList", "a", "h1", "h2", "h3"),
            register("removeFromVotersList", "b", "h1", "h2"),
            register("addToVotersList", "c", "h1"),
        )
    )

    assert found.registered == {"c": 2}


def test_without_a_list_the_register_is_unknown():
    assert count(hour_file(NINE, vote("a", at(NINE, 1)))).registered == {"c": None}


@pytest.mark.parametrize(
    ("zone", "minutes"), [("UTC", 0), ("Asia/Kolkata", 30), ("Asia/Kathmandu", 15)]
)
def test_hours_are_cut_in_the_zone(zone, minutes):
    found = count(hour_file(NINE, vote("a", at(NINE, 50 * 60))), zone=zone)

    assert [hour for _, hour in found.hours] == [NINE + timedelta(minutes=minutes)]


@pytest.mark.parametrize(
    "raw",
    [
        b"a;104;too;short",
        b"\xff;104;;4;1789722000000;s;0;;[];[];{};",
        b";104;;4;1789722000000;s;0;;[];[];{};",
        b"a;105;;4;1789722000000;s;0;;[];[];{};",
        b"a;104;;4;1789722000000;s;0;;[];[];{};",
        b'a;104;;4;12;s;0;;[{"key":"operation","stringValue":"vote"}];[];{};',
        b"a;104;;4;1789722000000;s;0;;{};[];{};",
        b"a;104;;4;1789722000000;s;0;;[;[];{};",
        b'a;104;;4;1789722000000;s;0;;[{"key":"operation","stringValue":"vote"}];[];{};-2',
    ],
)
def test_what_cannot_be_read_is_rejected_and_the_rest_is_loaded(raw):
    found = count(hour_file(NINE, raw, b"", vote("a", at(NINE, 1))))

    assert [number for _, number, _ in found.rejected] == [1]
    assert found.rows_read == 2
    assert found.totals["c"].votes_cast == 1
