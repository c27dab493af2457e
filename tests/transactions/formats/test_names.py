from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transactions.formats.errors import UnreadableFile
from transactions.formats.names import FileName, is_contract_id, parse

from .conftest import CONTRACT

NINE = datetime(2024, 9, 6, 9, tzinfo=UTC)
LAST = datetime(2024, 9, 6, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "interval"),
    [
        ("2024-09-06_0900-1000", NINE),
        ("2024-09-06_2300-0000", LAST),
        ("2024-09-06_2300-2400", LAST),
        ("2024-09-06_0930-1030", datetime(2024, 9, 6, 9, 30, tzinfo=UTC)),
    ],
)
def test_an_hour_file_tells_contract_and_hour(label, interval):
    assert parse(f"{CONTRACT}_{label}") == FileName(CONTRACT, interval)


@pytest.mark.parametrize("suffix", ["", "_dump", "_export", "_export 2024-09-08"])
def test_a_whole_contract_tells_no_hour(suffix):
    assert parse(f"{CONTRACT}{suffix}") == FileName(CONTRACT, None)


@pytest.mark.parametrize(
    "label",
    [
        "2024-09-06_1000-0900",
        "2024-09-06_0900-1100",
        "2024-09-06_0900-0900",
        "2024-09-06_2300-2500",
        "2024-09-06_2400-0100",
        "2024-09-06_0960-1060",
        "2024-02-30_0900-1000",
    ],
)
def test_an_impossible_hour_is_refused(label):
    with pytest.raises(UnreadableFile, match=label) as raised:
        parse(f"{CONTRACT}_{label}")

    assert raised.value.code == "interval_inconsistent"


@pytest.mark.parametrize(
    "stem",
    [
        "events",
        "",
        f"{CONTRACT}_v2",
        f"x{CONTRACT}_dump",
        f"0{CONTRACT[1:]}",
        CONTRACT[:31],
        "2024-09-06_0900-1000",
        f"{CONTRACT}_٢٠٢٤-09-06_0900-1000",
    ],
)
def test_other_names_tell_nothing(stem):
    assert parse(stem) is None


@pytest.mark.parametrize(
    ("folders", "stem", "interval"),
    [
        ([CONTRACT], "2024-09-06_0900-1000", NINE),
        (["x", CONTRACT, "2024-09-06"], "0900-1000", NINE),
        ([CONTRACT], "0900-1000", None),
    ],
)
def test_hours_of_a_crawl_belong_to_the_folder_of_the_contract(folders, stem, interval):
    assert parse(stem, folders) == FileName(CONTRACT, interval)


def test_an_hour_in_another_folder_tells_nothing():
    assert parse("2024-09-06_0900-1000", [CONTRACT, "x"]) is None


def test_an_address_has_32_to_44_letters_of_base58():
    assert is_contract_id(CONTRACT)
    assert not is_contract_id(CONTRACT.replace("C", "0"))
    assert not is_contract_id(CONTRACT + "a")


@given(st.text())
def test_no_name_raises_anything_else(stem):
    assert parse(stem, [stem]) is None or is_contract_id(stem[:44])
