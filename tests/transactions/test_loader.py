"""What counts, rule by rule: lines go in through the loader, figures come out."""

import pytest
from django.db import OperationalError
from django.utils import timezone

from elections.models import Constituency
from metrics.services import verify
from tests.tables import hourly_table, parse_table, totals_table
from tests.transactions.lines import (
    BROKEN,
    A,
    B,
    create,
    dump,
    fail,
    hour_file,
    issue,
    other,
    register,
    rollback_of,
    vote,
    without_result,
)
from transactions.formats import Block, Statements
from transactions.loader import Chunk, Loader, OpenBatch, Part, Place
from transactions.models import (
    BatchStatus,
    ConflictingRow,
    ConflictKind,
    FeedHour,
    ImportBatch,
    RejectedRow,
    RollbackEvent,
    Transaction,
    VanishedRow,
)
from transactions.services import ImportService

pytestmark = pytest.mark.django_db


def states():
    """Return what the ledger holds: id → is it there, does it count."""
    rows = Transaction.objects.order_by("tx_id").values_list(
        "tx_id", "rolled_back", "counted"
    )
    return {
        tx_id: ("gone" if gone else "there", counted) for tx_id, gone, counted in rows
    }


def counts(summary):
    return (
        summary.rows_read,
        summary.accepted,
        summary.duplicate,
        summary.conflicting,
        summary.rejected,
    )


# Issues, votes and the rest ---------------------------------------------------------


def test_issues_votes_and_refusals_are_counted_in_their_hours(load):
    load(
        hour_file("09:00", issue("i1", "09:05"), vote("v1", "09:06")),
        hour_file(
            "10:00", issue("i2", "10:00"), fail(vote("v2", "10:59:59.999", key="k2"))
        ),
    )

    assert hourly_table() == parse_table("""
        hour  | bulletins_issued | votes_cast | transaction_count | failed_count
        09:00 |                1 |          1 |                 2 |            0
        10:00 |                1 |          0 |                 2 |            1
    """)


def test_an_issue_counts_the_entries_of_its_array(load):
    load(hour_file("09:00", issue("i1", to="u1 u2 u3"), issue("i2", to="")))

    assert hourly_table() == parse_table("""
        hour  | bulletins_issued | transaction_count
        09:00 |                3 |                 2
    """)


def test_a_user_who_is_issued_twice_is_counted_twice(load):
    load(hour_file("09:00", issue("i1", to="u1"), issue("i2", to="u1")))

    assert hourly_table() == parse_table("""
        hour  | bulletins_issued | transaction_count
        09:00 |                2 |                 2
    """)


def test_a_refused_issue_counts_as_failed_and_issues_nothing(load):
    load(hour_file("09:00", fail(issue("i1", to="u1 u2"))))

    assert hourly_table() == parse_table("""
        hour  | transaction_count | failed_count
        09:00 |                 1 |            1
    """)


def test_what_wrote_neither_result_nor_failure_is_only_a_transaction(load):
    load(hour_file("09:00", without_result(vote("v1")), without_result(issue("i1"))))

    assert hourly_table() == parse_table("""
        hour  | transaction_count
        09:00 |                 2
    """)


def test_a_vote_written_under_another_key_does_not_count(load):
    foreign = vote("v1", key="k1").replace(b'"VOTE_k1"', b'"VOTE_k2"')

    load(hour_file("09:00", foreign))

    assert hourly_table() == parse_table("""
        hour  | transaction_count
        09:00 |                 1
    """)


def test_other_operations_are_only_transactions(load):
    lines = [create("c1", "09:00"), other("o1"), other("o2", operation="futureThing")]

    load(hour_file("09:00", *lines))

    assert hourly_table() == parse_table("""
        hour  | transaction_count
        09:00 |                 3
    """)


def test_the_hour_is_cut_from_the_time_stamp_not_from_the_name(load):
    summary = load(hour_file("09:00", vote("v1", "11:30"), vote("v2", "09:10")))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | revotes | transaction_count
        09:00 |          1 |       0 |                 1
        11:00 |          0 |       1 |                 1
    """)
    assert ImportBatch.objects.get().outside_interval == 1
    assert counts(summary) == (2, 2, 0, 0, 0)


def test_the_last_millisecond_belongs_to_the_hour_and_the_next_one_does_not(load):
    load(hour_file("09:00", issue("i1", "09:59:59.999"), issue("i2", "10:00")))

    assert hourly_table() == parse_table("""
        hour  | bulletins_issued | transaction_count
        09:00 |                1 |                 1
        10:00 |                1 |                 1
    """)
    assert ImportBatch.objects.get().outside_interval == 1


def test_the_name_of_a_file_is_read_in_the_zone_of_the_exports(election, load):
    election.export_timezone = "Europe/Moscow"
    election.save()

    load(hour_file("12:00", vote("v1", "09:10"), vote("v2", "12:10", key="k2")))

    assert ImportBatch.objects.get().outside_interval == 1


def test_several_transactions_in_one_millisecond_all_count(load):
    load(hour_file("09:00", *[vote(f"v{n}", key=f"k{n}") for n in range(5)]))

    assert totals_table() == parse_table("""
        votes_cast | transaction_count
                 5 |                 5
    """)


def test_the_same_id_in_two_contracts_is_two_transactions(two_contracts, load):
    load(hour_file("09:00", vote("v1")), hour_file("09:00", vote("v1"), contract_id=B))

    assert hourly_table() == parse_table(f"""
        constituency | hour  | votes_cast | transaction_count
        {A}          | 09:00 |          1 |                 1
        {B}          | 09:00 |          1 |                 1
    """)


def test_ids_that_look_like_nulls_quotes_and_separators_are_kept(load):
    names = ["\\N", 'say "hi"', "a,b", "tab\there", "NULL", " edge "]

    load(hour_file("09:00", *[other(name) for name in names]))

    assert set(Transaction.objects.values_list("tx_id", flat=True)) == set(names)


# One vote per key -------------------------------------------------------------------


def test_a_second_vote_of_a_key_is_a_revote_in_its_own_hour(load):
    load(hour_file("09:00", vote("v1", "09:10"), vote("v2", "10:20")))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | revotes | transaction_count
        09:00 |          1 |       0 |                 1
        10:00 |          0 |       1 |                 1
    """)


def test_the_earliest_vote_counts_even_if_it_is_loaded_last(load):
    load(hour_file("10:00", vote("v2", "10:20")))

    summary = load(hour_file("09:00", vote("v1", "09:10")))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | revotes | transaction_count
        09:00 |          1 |       0 |                 1
        10:00 |          0 |       1 |                 1
    """)
    assert summary.votes_cast == 0


@pytest.mark.parametrize("order", [("v1", "v2"), ("v2", "v1")])
def test_of_two_votes_in_one_millisecond_the_smaller_id_counts(load, order):
    for tx_id in order:
        load(dump(vote(tx_id)))

    assert states() == {"v1": ("there", True), "v2": ("there", False)}


def test_ids_are_compared_byte_by_byte(load):
    load(dump(vote("b"), vote("Z")), dump(vote("a")))

    assert states()["Z"] == ("there", True)
    assert states()["a"] == states()["b"] == ("there", False)


def test_a_refused_vote_takes_no_key(load):
    load(hour_file("09:00", fail(vote("v1", "09:10")), vote("v2", "09:20")))

    assert totals_table() == parse_table("""
        votes_cast | transaction_count | failed_count
                 1 |                 2 |            1
    """)


def test_a_key_votes_once_in_each_contract(two_contracts, load):
    load(hour_file("09:00", vote("v1")), hour_file("09:00", vote("v2"), contract_id=B))

    assert totals_table() == parse_table(f"""
        name | votes_cast | transaction_count
        {A}  |          1 |                 1
        {B}  |          1 |                 1
    """)


def test_when_the_first_vote_is_rolled_back_the_next_one_counts(load):
    first = vote("v1", "09:10")
    load(dump(first, vote("v2", "10:20"), vote("v3", "11:30")))

    summary = load(hour_file("12:00", rollback_of(first)))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | revotes | transaction_count
        09:00 |          0 |       0 |                 0
        10:00 |          1 |       0 |                 1
        11:00 |          0 |       1 |                 1
    """)
    assert summary.votes_cast == 0


def test_when_the_first_vote_comes_back_it_counts_again(load):
    first = vote("v1", "09:10")
    load(dump(first, vote("v2", "10:20")), hour_file("12:00", rollback_of(first)))

    load(hour_file("13:00", first))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | revotes | transaction_count
        09:00 |          1 |       0 |                 1
        10:00 |          0 |       1 |                 1
    """)


def test_when_the_only_vote_of_a_key_is_rolled_back_nothing_is_left(load):
    line = vote("v1")
    load(hour_file("09:00", line))

    summary = load(hour_file("10:00", rollback_of(line)))

    assert hourly_table() == parse_table("""
        hour  | votes_cast
        09:00 |          0
    """)
    assert (summary.votes_cast, summary.accepted) == (-1, 1)


def test_a_rolled_back_revote_leaves_the_first_vote_alone(load):
    again = vote("v2", "09:20")
    load(hour_file("09:00", vote("v1", "09:10"), again))

    load(hour_file("10:00", rollback_of(again)))

    assert states() == {"v1": ("there", True), "v2": ("gone", False)}


def test_rollback_and_new_vote_of_a_key_in_one_chunk(load):
    first = vote("v1", "09:10")
    load(hour_file("09:00", first))

    load(hour_file("10:00", rollback_of(first), vote("v2", "10:20"), vote("v3")))

    assert states() == {
        "v1": ("gone", False),
        "v2": ("there", False),
        "v3": ("there", True),
    }


# Rollbacks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "issued"), [("p", 1), ("pg", 0), ("pgp", 1), ("gp", 1), ("g", 0)]
)
@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_the_last_statement_of_a_file_holds(load, settings, marks, issued, chunk_rows):
    settings.CHUNK_ROWS = chunk_rows
    lines = {"p": issue("i1"), "g": rollback_of(issue("i1"))}

    load(hour_file("09:00", *[lines[mark] for mark in marks]))

    assert Constituency.objects.get().bulletins_issued == issued


def test_a_later_interval_holds_whatever_is_loaded_first(load, two_contracts):
    for contract_id, order in ((A, (0, 1)), (B, (1, 0))):
        files = [
            hour_file("09:00", issue("i1"), contract_id=contract_id),
            hour_file("10:00", rollback_of(issue("i1")), contract_id=contract_id),
        ]
        for index in order:
            load(files[index])

    assert totals_table() == parse_table(f"""
        name | bulletins_issued
        {A}  |                0
        {B}  |                0
    """)


def test_a_tie_with_a_stored_line_rolls_it_back(load):
    load(hour_file("09:00", issue("i1")))

    summary = load(hour_file("09:00", rollback_of(issue("i1"))))

    assert hourly_table() == parse_table("""
        hour  | bulletins_issued
        09:00 |                0
    """)
    assert states() == {"i1": ("gone", False)}
    assert counts(summary) == (1, 1, 0, 0, 0)


def test_a_republished_file_never_brings_a_transaction_back(load):
    load(hour_file("09:00", rollback_of(issue("i1"))))

    summary = load(hour_file("09:00", issue("i1")))

    assert states() == {"i1": ("gone", False)}
    assert counts(summary) == (1, 0, 1, 0, 0)
    assert ConflictingRow.objects.get().kind == ConflictKind.STATE


def test_an_hourly_file_outranks_a_dump(load):
    load(hour_file("09:00", issue("i1")))

    load(dump(issue("i1"), rollback_of(issue("i1"))))

    assert states() == {"i1": ("there", True)}
    assert ConflictingRow.objects.get().kind == ConflictKind.STATE


def test_a_dump_that_was_first_yields_to_an_hourly_file(load):
    load(dump(issue("i1"), rollback_of(issue("i1"))))

    load(hour_file("09:00", issue("i1")))

    assert states() == {"i1": ("there", True)}


def test_every_change_of_state_is_recorded(load):
    line = issue("i1")
    load(hour_file("09:00", line))
    load(hour_file("10:00", rollback_of(line)))
    load(hour_file("11:00", line))

    events = RollbackEvent.objects.order_by("id").values_list("tx_id", "rolled_back")

    assert list(events) == [("i1", True), ("i1", False)]


def test_a_rolled_back_refusal_is_no_longer_counted_as_failed(load):
    line = fail(vote("v1"))
    load(hour_file("09:00", line))

    load(hour_file("10:00", rollback_of(line)))

    assert totals_table() == parse_table("""
        failed_count
        0
    """)


# The register -----------------------------------------------------------------------


def test_the_register_is_added_plus_restored_less_removed(load):
    load(
        hour_file("08:00", register("r1", "08:00", add=10), vote("v1", "08:30")),
        hour_file("09:00", register("r2", remove=3), register("r3", restore=1)),
    )

    assert totals_table() == parse_table("""
        votes_cast | transaction_count | registered_voters | participation_rate
                 1 |                 4 |                 8 | 12.5
    """)


def test_a_refused_list_does_not_register_anybody(load):
    load(hour_file("09:00", register("r1", add=10), fail(register("r2", add=5))))

    assert totals_table() == parse_table("""
        transaction_count | failed_count | registered_voters | participation_rate
                        2 |            1 |                10 | 0.0
    """)


def test_a_rolled_back_list_leaves_the_register_unknown(load):
    lists = register("r1", add=10)
    load(hour_file("09:00", lists))

    load(hour_file("10:00", rollback_of(lists)))

    assert totals_table() == parse_table("""
        registered_voters
        –
    """)


def test_without_a_list_the_stated_register_stands(load):
    Constituency.objects.update(stated_registered_voters=40)
    load(hour_file("09:00", vote("v1")))

    stands = Constituency.objects.get()
    load(hour_file("08:00", register("r1", add=10)))
    counted = Constituency.objects.get()

    assert (stands.registered_voters, stands.registered_voters_source) == (40, "staff")
    assert (counted.registered_voters, counted.registered_voters_source) == (
        10,
        "ledger",
    )


# Same id, other content ---------------------------------------------------------------


def test_other_content_under_a_known_id_is_kept_with_both_versions(load):
    load(hour_file("09:00", vote("v1", "09:10")))
    before = hourly_table()

    summary = load(hour_file("10:00", fail(vote("v1", "09:10"))))

    conflict = ConflictingRow.objects.get()
    assert counts(summary) == (1, 0, 0, 1, 0)
    assert hourly_table() == before
    assert conflict.kind == ConflictKind.CONTENT
    assert (conflict.stored["outcome"], conflict.incoming["outcome"]) == (
        "accepted",
        "failed",
    )
    assert conflict.stored_batch.name.endswith("0900-1000.csv")
    assert conflict.batch.name.endswith("1000-1100.csv")


def test_a_rewritten_time_stamp_is_a_conflict_and_moves_nothing(load):
    load(hour_file("09:00", vote("v1", "09:10")))

    summary = load(hour_file("10:00", vote("v1", "10:10")))

    assert summary.conflicting == 1
    assert hourly_table() == parse_table("""
        hour  | votes_cast | transaction_count
        09:00 |          1 |                 1
    """)


def test_a_conflict_cannot_roll_back(load):
    load(hour_file("09:00", issue("i1", "09:10")))

    load(hour_file("10:00", rollback_of(issue("i1", "09:11"))))

    assert states() == {"i1": ("there", True)}


def test_a_line_in_conflict_takes_no_ordinal(load):
    line = vote("v1", "09:10")
    load(hour_file("09:00", line))

    load(hour_file("09:00", vote("v1", "10:10"), rollback_of(line)))

    assert states() == {"v1": ("gone", False)}


def test_two_contents_in_one_file_are_one_transaction_and_one_conflict(load):
    summary = load(hour_file("09:00", vote("v1", "09:10"), vote("v1", "09:11")))

    assert counts(summary) == (2, 1, 0, 1, 0)
    assert hourly_table() == parse_table("""
        hour  | votes_cast | transaction_count
        09:00 |          1 |                 1
    """)


# Files --------------------------------------------------------------------------------


def test_a_broken_line_is_rejected_and_the_rest_is_loaded(load):
    summary = load(hour_file("09:00", vote("v1"), BROKEN, b"", issue("i1")))

    row = RejectedRow.objects.get()
    assert counts(summary) == (3, 2, 0, 0, 1)
    assert (row.line, row.code, row.raw) == (2, "wrong_field_count", BROKEN.decode())
    assert totals_table() == parse_table("""
        bulletins_issued | votes_cast | transaction_count
                       1 |          1 |                 2
    """)


def test_a_rejected_line_takes_no_ordinal(load):
    line = issue("i1")
    load(hour_file("09:00", line))

    load(hour_file("09:00", b"i1;104;;", rollback_of(line)))

    assert states() == {"i1": ("gone", False)}


def test_late_rows_land_in_the_hour_they_happened(load):
    load(hour_file("09:00", vote("v1", "09:50")))

    load(hour_file("10:00", vote("v2", "09:55", key="k2"), vote("v3", key="k3")))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | transaction_count
        09:00 |          3 |                 3
    """)


def test_vanished_rows_of_a_republished_file_are_listed_and_kept(load):
    kept, gone = vote("v1", key="k1"), vote("v2", key="k2")
    load(hour_file("09:00", kept, gone))

    summary = load(hour_file("09:00", kept, vote("v3", key="k3")))

    row = VanishedRow.objects.get()
    assert (row.tx_id, row.earlier.version, row.batch.vanished) == ("v2", 1, 1)
    assert (counts(summary), summary.vanished) == ((2, 1, 1, 0, 0), 1)
    assert totals_table() == parse_table("""
        votes_cast | transaction_count
                 3 |                 3
    """)


def test_a_row_that_now_carries_a_rollback_has_not_vanished(load):
    load(hour_file("09:00", vote("v1"), vote("v2", key="k2")))

    summary = load(hour_file("09:00", rollback_of(vote("v1")), vote("v2", key="k2")))

    assert summary.vanished == 0
    assert not VanishedRow.objects.exists()


def test_every_version_of_an_hour_is_numbered(load):
    for lines in ([vote("v1")], [vote("v1"), issue("i1")], [issue("i1")]):
        load(hour_file("09:00", *lines))

    versions = FeedHour.objects.order_by("version").values_list("version", flat=True)
    assert list(versions) == [1, 2, 3]
    assert VanishedRow.objects.get().tx_id == "v1"


@pytest.mark.parametrize("chunk_rows", [1, 2, 3])
def test_versions_are_compared_whole_whatever_the_chunks(load, settings, chunk_rows):
    settings.CHUNK_ROWS = chunk_rows
    load(hour_file("09:00", *[other(f"o{n}") for n in range(5)]))

    summary = load(hour_file("09:00", *[other(f"o{n}") for n in range(1, 5)]))

    assert summary.vanished == 1
    assert VanishedRow.objects.get().tx_id == "o0"


def test_an_empty_hour_is_data(load):
    summary = load(hour_file("09:00"), hour_file("10:00"), dump())

    assert (summary.files, summary.files_failed, summary.rows_read) == (3, 0, 0)
    assert FeedHour.objects.count() == 2
    assert hourly_table() == []


def test_terms_of_the_contract_reach_its_constituency(load):
    load(
        dump(
            create("c1", dateEnd="20-09-2026 17:00:00", isRevoteBlocked="false"),
            other("s1", "05:00", operation="startIssueBallots"),
        )
    )

    known = Constituency.objects.get()
    assert known.revoting_allowed is True
    assert f"{known.voting_closes_at:%Y-%m-%d %H:%M}" == "2026-09-20 17:00"
    assert f"{known.issue_opens_at:%Y-%m-%d %H:%M}" == "2026-09-18 05:00"


def test_a_rolled_back_contract_leaves_no_terms(load):
    line = create("c1", dateEnd="20-09-2026 17:00:00")
    load(hour_file("08:00", line))

    load(hour_file("09:00", rollback_of(line)))

    known = Constituency.objects.get()
    assert (known.revoting_allowed, known.voting_closes_at) == (None, None)


def test_last_transaction_at_is_the_newest_ledger_time(load):
    load(hour_file("09:00", vote("v1", "09:50")), hour_file("08:00", vote("v2")))

    assert f"{Constituency.objects.get().last_transaction_at:%H:%M}" == "09:50"


def test_a_source_can_state_the_position_itself(election):
    constituency = Constituency.objects.get()
    place = Place(constituency.pk, election.slug, A, "UTC")

    def deliver(batch_id, *, position, rolled_back):
        rows = Statements(
            line=[1],
            tx_id=["i1"],
            timestamp_ms=[1_789_722_000_000],
            operation=[1],
            outcome=[1],
            quantity=[1],
            sender=[None],
            recipients=[None],
            polling_station=[""],
            payload=[None],
            rolled_back=[rolled_back],
            position=[position],
        )
        now = timezone.now()
        record = ImportBatch(
            id=batch_id, kind="plain_csv", name="api", started_at=now, status="running"
        )
        part = Part(OpenBatch(record), Block(rows), constituency.pk, is_last=True)
        Loader().load(Chunk([part], {constituency.pk: place}, now))

    deliver(901, position=20, rolled_back=True)
    deliver(902, position=10, rolled_back=False)

    assert states() == {"i1": ("gone", False)}


# The loader's own promises ----------------------------------------------------------


def test_a_receiver_that_fails_takes_the_whole_chunk_back(load, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("the statistics are broken")

    monkeypatch.setattr("metrics.receivers.HourlyStatsService.apply", refuse)

    with pytest.raises(ValueError, match="statistics are broken"):
        load(hour_file("09:00", vote("v1")))

    assert not Transaction.objects.exists()
    assert not ImportBatch.objects.exists()
    assert hourly_table() == []


@pytest.mark.django_db(transaction=True)
def test_a_chunk_that_keeps_failing_stores_nothing(load, monkeypatch):
    def fail_always(*_, **__):
        raise OperationalError("deadlock detected")

    monkeypatch.setattr("transactions.loader.patience.FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr("metrics.receivers.HourlyStatsService.apply", fail_always)

    with pytest.raises(OperationalError):
        load(hour_file("09:00", vote("v1")))

    assert not Transaction.objects.exists()
    assert not ImportBatch.objects.exists()


def test_figures_are_exact_at_every_commit(load, settings, monkeypatch):
    settings.CHUNK_ROWS = 1
    load_chunk, differences = Loader.load, []

    def load_and_compare(loader, chunk):
        result = load_chunk(loader, chunk)
        differences.append(list(verify()))
        return result

    monkeypatch.setattr(Loader, "load", load_and_compare)
    line = vote("v1", "09:10")
    load(
        dump(register("r1", add=4), vote("v2", "10:00"), line, rollback_of(line), line)
    )

    assert differences == [[]] * 5


def test_a_batch_is_loaded_when_its_last_chunk_is(load, settings, monkeypatch):
    settings.CHUNK_ROWS = 2
    load_chunk, seen = Loader.load, []

    def load_and_look(loader, chunk):
        result = load_chunk(loader, chunk)
        seen.append(ImportBatch.objects.values_list("status", "chunks").get())
        return result

    monkeypatch.setattr(Loader, "load", load_and_look)
    load(dump(*[other(f"o{n}") for n in range(5)]))

    assert seen == [
        (BatchStatus.RUNNING, 1),
        (BatchStatus.RUNNING, 2),
        (BatchStatus.LOADED, 3),
    ]


def test_small_files_share_a_chunk(load, settings, monkeypatch):
    load_chunk, sizes = Loader.load, []

    def load_and_measure(loader, chunk):
        sizes.append(len(chunk.parts))
        return load_chunk(loader, chunk)

    monkeypatch.setattr(Loader, "load", load_and_measure)
    settings.CHUNK_FILES = 2
    load(*[hour_file(f"{hour:02}:00", other(f"o{hour}")) for hour in range(5)])

    assert sizes == [2, 2, 1]


def test_an_import_service_reads_its_chunk_size_from_the_settings(settings):
    settings.CHUNK_ROWS = 7

    assert ImportService()._assembly._chunk_rows == 7
