"""What is written can be counted again and gives the truth."""

import hashlib

import pytest

from tests.transactions.simulator.exports import (
    accounts,
    as_account,
    plan,
    read_export,
    read_truth,
    recounted,
    world,
)
from transactions.simulator import (
    FAULTS,
    build,
    contract_hours,
    expect,
    write_files,
)

SOME_INJECTIONS = (
    *("burst:3", "night:2", "slow:50", "outage:80", "bot:50", "sync_region:25"),
    *("sync_peers:50", "replay:3", "rewrite:3", "double_vote:3", "stuffing:1"),
    *("suppression:8", "foreign_issuer:2", "out_of_window:3", "rewritten_file:2"),
)
# Enough constituencies for every fault and injection, few enough rows to be quick.
ROOM = {"constituencies": 32, "transactions": 4_000}


def digest(out):
    """Return a digest of every name and byte below `out`."""
    found = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(out).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def assert_recount_is_truth(out):
    counted, truth = recounted(out), accounts(read_truth(out))
    for contract_id, account in truth.items():
        expected = {
            name: value
            for name, value in account.items()
            if name in {*as_account(counted, contract_id)}
        }
        assert as_account(counted, contract_id) == expected


@pytest.mark.parametrize("layout", ["tree", "zips"])
def test_the_same_plan_gives_the_same_bytes(tmp_path, layout):
    small = plan("burst:3", faults=FAULTS, transactions=2_000)

    for name in ("first", "second"):
        write_files(build(small), tmp_path / name, layout)

    assert digest(tmp_path / "first") == digest(tmp_path / "second")


def test_another_seed_gives_other_bytes():
    first, second = world(seed=1), world(seed=2)

    assert not {c.contract_id for c in first.contracts} & {
        c.contract_id for c in second.contracts
    }


def test_a_contract_does_not_depend_on_what_was_made_before():
    election = world("burst:3", faults=FAULTS, transactions=2_000)

    forward = [list(contract_hours(election, item)) for item in election.contracts]
    backward = [
        list(contract_hours(election, item)) for item in election.contracts[::-1]
    ]

    assert forward == backward[::-1]


@pytest.mark.parametrize("layout", ["tree", "zips"])
def test_recount_of_an_undisturbed_election_is_the_truth(tmp_path, layout):
    write_files(world(transactions=3_000), tmp_path, layout)

    assert_recount_is_truth(tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_recount_with_every_fault_is_the_truth(tmp_path, seed):
    write_files(world(faults=FAULTS, **ROOM, seed=seed), tmp_path)

    assert_recount_is_truth(tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_recount_with_every_injection_and_fault_is_the_truth(tmp_path, seed):
    election = world(*SOME_INJECTIONS, faults=FAULTS, **ROOM, seed=seed)

    write_files(election, tmp_path)

    assert_recount_is_truth(tmp_path)


def test_recount_in_a_zone_with_half_hours_is_the_truth(tmp_path):
    election = world(faults=FAULTS, timezone="Asia/Kolkata", transactions=3_000)

    write_files(election, tmp_path)

    assert_recount_is_truth(tmp_path)


def test_truth_without_writing_is_the_truth_of_the_files(tmp_path):
    election = world("burst:3", faults=FAULTS, transactions=2_000)

    written = write_files(election, tmp_path)

    assert expect(election).contracts == written.contracts
    assert expect(election).injections == written.injections


def test_every_contract_has_a_file_for_every_hour_of_the_election():
    election = world(constituencies=40, transactions=2_000)
    inside = range(election.first_hour_ms, election.last_hour_ms + 1, 3_600_000)

    assert len(inside) == 71
    for contract in election.contracts:
        hours = [
            int(hour.hour.timestamp() * 1000)
            for hour in contract_hours(election, contract)
        ]
        assert [hour for hour in hours if hour in inside] == [*inside]
        assert len(hours) - len(inside) <= 3


def test_truth_counts_the_files_and_rows_that_were_written(tmp_path):
    truth = write_files(world(faults=FAULTS, transactions=2_000), tmp_path)

    files = read_export(tmp_path)
    assert truth.files == len(files)
    assert truth.rows == sum(bool(line.strip()) for f in files for line in f.lines)


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")

    with pytest.raises(FileExistsError, match="not empty"):
        write_files(world(), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_last_hour_of_a_day_is_named_either_way():
    election = world(transactions=2_000)

    stems = [h.stem for c in election.contracts for h in contract_hours(election, c)]
    assert {stem[-4:] for stem in stems if "_2300-" in stem} == {"0000", "2400"}


def test_long_names_stand_in_a_zip_only(tmp_path):
    write_files(world(faults={"long_names"}, transactions=2_000), tmp_path)

    names = [file.name for file in read_export(tmp_path)]
    longest = max((part for name in names for part in name.split("/")), key=len)
    assert len(longest.encode()) > 255
    assert (tmp_path / "long_names.zip").exists()
