import pytest

from transactions.formats.errors import UnreadableFile
from transactions.formats.layout import (
    Layout,
    Manifest,
    layout_of,
    parse_manifest,
)

from .conftest import CONTRACT

PERM = Layout("90", "Пермский край", "Выборы  губернатора ", "Округ №1_3")
TREE = ["90 - Пермский край", "Выборы  губернатора ", "Округ №1_3"]


@pytest.mark.parametrize(
    "below", [[CONTRACT], [CONTRACT, f"{CONTRACT}_dump"], [f"{CONTRACT}_dump"], []]
)
def test_the_published_tree_tells_names_as_published(below):
    assert layout_of(["data", *TREE, *below], CONTRACT) == PERM


def test_the_region_is_believed_above_what_is_imported():
    assert layout_of([*TREE, CONTRACT], CONTRACT, trusted_from=4) == PERM


def test_a_backup_folder_is_no_region():
    assert layout_of(["01 - backup", *TREE, CONTRACT], CONTRACT) == PERM


def test_a_constituency_with_a_slash_is_put_together():
    folders = [*TREE[:2], "Округ №1", "2", CONTRACT]

    assert layout_of(folders, CONTRACT).constituency == "Округ №1/2"


def test_a_missing_constituency_is_none():
    assert layout_of([*TREE[:2], CONTRACT], CONTRACT) == Layout(
        "90", "Пермский край", "Выборы  губернатора ", None
    )


@pytest.mark.parametrize("trick", ["..", ".", "", "C:"])
def test_names_that_climb_tell_nothing(trick):
    assert layout_of([trick, *TREE, CONTRACT], CONTRACT) == Layout()


def test_a_crawl_without_manifest_has_ids_for_names():
    assert layout_of(["90", "e7", "d1", CONTRACT], CONTRACT) == Layout(
        "90", "90", "e7", "d1"
    )


def test_a_crawl_above_what_is_imported_tells_nothing():
    folders = ["home", "90", "e7", CONTRACT]

    assert layout_of(folders, CONTRACT, trusted_from=2) == Layout()


def test_a_manifest_names_the_ids_of_a_crawl():
    manifest = parse_manifest(
        """{"regions": {"perm": {"code": "90", "name": "Пермский край"}},
            "elections": {"e7": "Выборы\\u0000", "e8": 5},
            "districts": {"d1": "никогда", "e7/d1": "Округ №1"}}""".encode()
    )

    read = layout_of(["perm", "e7", "d1", CONTRACT], CONTRACT, manifest=manifest)

    assert read == Layout("90", "Пермский край", "Выборы", "Округ №1")


def test_a_region_in_a_manifest_may_be_its_name():
    manifest = parse_manifest('{"regions": {"90": "Пермский край"}}'.encode())

    assert manifest.layout("90", "e", "d") == Layout("90", "Пермский край", "e", "d")


@pytest.mark.parametrize("content", [b'{"regions": 5, "elections": []}', b"{}"])
def test_a_manifest_of_another_form_names_nothing(content):
    assert parse_manifest(content) == Manifest()


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 5000])
def test_a_manifest_that_is_no_object_is_unreadable(content):
    with pytest.raises(UnreadableFile) as raised:
        parse_manifest(content)

    assert raised.value.code == "manifest_unreadable"
