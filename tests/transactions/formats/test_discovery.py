import hashlib
import io
import os
import pickle
import random
import tracemalloc
import zipfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transactions.formats import Kind, Layout, UnreadableFile, archive, discover, read
from transactions.formats.names import is_contract_id

from .conftest import CONTRACT

HOUR = f"{CONTRACT}_2024-09-06_0900-1000"
NINE = datetime(2024, 9, 6, 9, tzinfo=UTC)
OTHER = "D" + CONTRACT[1:]
TREE = "90 - Пермский край/Выборы/Округ №1"
PLAIN = "contract_id,timestamp,tx_id,operation\n"


@pytest.fixture
def put(tmp_path):
    """Write files below the folder that is discovered."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
        return tmp_path

    return write


def found(*roots):
    result = discover(roots)
    assert result.unusable == []
    return result.files


def codes(*roots):
    return [(Path(file.path).name, file.code) for file in discover(roots).unusable]


def patched(content, **changes):
    """Replace fields of the first entry of an archive's central directory."""
    fields = {"flags": (8, 2), "method": (10, 2), "packed": (20, 4), "size": (24, 4)}
    data = bytearray(content)
    entry = data.index(b"PK\x01\x02")
    for name, value in changes.items():
        start, length = fields[name]
        data[entry + start : entry + start + length] = value.to_bytes(length, "little")
    return bytes(data)


@pytest.mark.parametrize(
    "name", [f"{HOUR}/{HOUR}.csv", f"{HOUR}.csv", f"{HOUR}.CSV", f"{HOUR}/data.csv"]
)
def test_an_unpacked_hour_is_found_in_the_published_tree(put, name):
    (file,) = found(put({f"{TREE}/{CONTRACT}/{name}": "x"}))

    assert (file.kind, file.contract_id) == (Kind.PORTAL_HOUR, CONTRACT)
    assert file.interval == NINE
    assert file.layout == Layout("90", "Пермский край", "Выборы", "Округ №1")


def test_a_zipped_hour_is_the_same_as_an_unpacked_one(put, zipped):
    packed, unpacked = found(
        put({f"a/{HOUR}.zip": zipped({f"{HOUR}.csv": "x" * 999}), "b/x": b"PAR1"})
        / "a",
        put({f"c/{HOUR}.csv": "x" * 999}) / "c",
    )

    assert packed.name == f"{HOUR}.zip!{HOUR}.csv"
    assert unpacked.name == f"{HOUR}.csv"
    for file in (packed, unpacked):
        assert (file.kind, file.interval, file.size) == (Kind.PORTAL_HOUR, NINE, 999)
        assert file.sha256() == hashlib.sha256(b"x" * 999).digest()
        assert file.read_all() == b"x" * 999
        with file.open() as stream:
            assert stream.read() == b"x" * 999


@pytest.mark.parametrize("name", ["_dump", "_export_1", ""])
def test_a_whole_contract_is_a_dump(put, zipped, name):
    content = zipped({"data.csv": "a;103;;;1725604228819;;;;[];[];;"})

    (file,) = found(put({f"{CONTRACT}{name}.zip": content}))

    assert (file.kind, file.contract_id) == (Kind.PORTAL_DUMP, CONTRACT)
    assert file.interval is None


def test_an_empty_hour_is_data(put, zipped):
    files = found(
        put({f"{HOUR}.csv": "", f"z/{HOUR}.zip": zipped({f"{HOUR}.csv": ""})})
    )

    assert [(file.size, file.read_all()) for file in files] == [(0, b"")] * 2


def test_every_member_that_names_its_contract_is_a_file_of_its_own(put, zipped):
    content = zipped({f"{OTHER}_dump.csv": "a", f"{HOUR}.csv": "b", "notes.csv": ""})

    result = discover([put({"all.zip": content})])

    assert [file.contract_id for file in result.files] == [CONTRACT, OTHER]
    assert [file.read_all() for file in result.files] == [b"b", b"a"]
    assert [file.code for file in result.unusable] == ["name_not_understood"]


def test_a_country_in_one_archive_is_read_without_extracting(put, zipped):
    name = "Выборы " + "о" * 400
    member = f"90 - Пермский край/{name}/Округ №1/{CONTRACT}/{HOUR}.csv"

    (file,) = found(put({"Россия.zip": zipped({member: "x"})}))

    assert file.layout == Layout("90", "Пермский край", name, "Округ №1")
    assert file.read_all() == b"x"


def test_an_archive_may_stand_for_a_folder_of_the_tree(put, zipped):
    content = zipped({f"Выборы/Округ №1/{CONTRACT}/{HOUR}.csv": "x"})

    (file,) = found(put({"90 - Пермский край.zip": content}))

    assert file.layout == Layout("90", "Пермский край", "Выборы", "Округ №1")


def test_an_archive_may_be_a_level_of_its_own(put, zipped):
    content = zipped({f"Округ №1/{CONTRACT}/{HOUR}.csv": "x"})

    (file,) = found(put({"90 - Пермский край/Выборы/1.zip": content}))

    assert file.layout.election == "Выборы"


def test_the_region_above_what_is_imported_is_recognised(put):
    root = put({f"{TREE}/{CONTRACT}/{HOUR}.csv": "x"})

    (folder,) = found(root / TREE)
    (single,) = found(root / TREE / CONTRACT / f"{HOUR}.csv")

    assert folder.layout == single.layout
    assert folder.layout.election == "Выборы"


def test_a_crawl_has_its_names_from_the_manifest(put, zipped):
    manifest = '{"elections": {"e7": "Выборы"}, "regions": {"90": "Пермский край"}}'
    hour = {"2024-09-06_0900-1000.csv": "x"}

    (file,) = found(
        put(
            {
                "manifest.json": manifest,
                f"90/e7/d1/{CONTRACT}/2024-09-06_0900-1000.zip": zipped(hour),
            }
        )
    )

    assert (file.contract_id, file.interval) == (CONTRACT, NINE)
    assert file.layout == Layout("90", "Пермский край", "Выборы", "d1")


def test_a_crawl_in_an_archive_has_its_names_from_the_manifest_in_it(put, zipped):
    content = zipped(
        {
            "x/manifest.json": '{"districts": {"d1": "Округ №1"}}',
            f"x/90/e7/d1/{CONTRACT}/2024-09-06_0900-1000.csv": "x",
        }
    )

    (file,) = found(put({"crawl.zip": content}))

    assert file.layout == Layout("90", "90", "e7", "Округ №1")


def test_a_broken_manifest_is_listed_and_ids_serve(put, zipped):
    member = f"90/e7/d1/{CONTRACT}/2024-09-06_0900-1000.csv"
    root = put({"a/manifest.json": "{", f"a/{member}": "x"})
    put({"b.zip": zipped({"manifest.json": "[]", member: "x"})})

    result = discover([root])

    assert [file.layout.election for file in result.files] == ["e7", "e7"]
    assert [file.code for file in result.unusable] == ["manifest_unreadable"] * 2


def test_plain_columns_are_known_by_header_or_extension(put, tmp_path):
    put({"a.csv": PLAIN, "b.jsonl": "{}", "c.ndjson": "{}", f"{CONTRACT}.csv": PLAIN})
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "d.parquet").rename(tmp_path / "e")

    assert [(file.name, file.kind, file.contract_id) for file in found(tmp_path)] == [
        (f"{CONTRACT}.csv", Kind.PLAIN_CSV, None),
        ("a.csv", Kind.PLAIN_CSV, None),
        ("b.jsonl", Kind.PLAIN_JSON_LINES, None),
        ("c.ndjson", Kind.PLAIN_JSON_LINES, None),
        ("e", Kind.PLAIN_PARQUET, None),
    ]


def test_plain_columns_in_an_archive_are_read(put, zipped):
    text = f"{PLAIN}A1,1725604228819,t1,vote\n"

    (file,) = found(put({"a.zip": zipped({"events.csv": text})}))

    with file.open() as stream:
        (block,) = read(file.kind, stream, block_rows=9)
    assert block.statements.tx_id == ["t1"]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_reader(kind):
    blocks = read(kind, io.BytesIO(), block_rows=9)

    if kind is Kind.PLAIN_PARQUET:
        with pytest.raises(UnreadableFile):
            list(blocks)
    else:
        assert list(blocks) == []


def test_files_come_by_contract_interval_and_path_whatever_was_given_first(put):
    late = HOUR.replace("0900-1000", "1000-1100")
    root = put(
        {
            f"a/{OTHER}.csv": "",
            f"b/{late}.csv": "",
            f"c/{HOUR}.csv": "",
            f"b/{HOUR}.csv": "",
            "a/x.csv": PLAIN,
        }
    )

    forward = [file.path for file in found(root / "a", root / "b", root / "c")]
    backward = [file.path for file in found(root / "c", root, root / "a", root / "b")]

    assert forward == backward
    assert [str(path.relative_to(root)) for path in forward] == [
        "a/x.csv",
        f"b/{HOUR}.csv",
        f"c/{HOUR}.csv",
        f"b/{late}.csv",
        f"a/{OTHER}.csv",
    ]


def test_hidden_files_manifests_and_macos_folders_are_passed_over(put, zipped):
    members = {f"{HOUR}.csv": "x", f"__MACOSX/._{HOUR}.csv": "", ".x/y.csv": ""}
    root = put(
        {f"{HOUR}.zip": zipped(members), ".hidden/a.csv": PLAIN, ".a.csv": PLAIN}
    )
    put({"__MACOSX/a.csv": PLAIN})

    assert len(found(root)) == 1


def test_a_missing_path_is_listed(tmp_path):
    assert codes(tmp_path / "none") == [("none", "not_found")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.zip", b"", "broken_zip"),
        ("a.zip", b"PK\x03\x04 and no more", "broken_zip"),
        ("a.csv", "what,ever\n", "missing_column"),
        ("a.csv", "", "name_not_understood"),
        ("a.csv", "a;103;;;1725604228819;;;;[];[];;", "name_not_understood"),
        (f"{HOUR.replace('1000', '1100')}.csv", "", "interval_inconsistent"),
    ],
)
def test_what_cannot_be_used_is_listed_and_the_others_go_on(put, name, content, code):
    root = put({f"x/{HOUR}.csv": "", name: content})

    assert len(discover([root]).files) == 1
    assert codes(root) == [(name, code)]


@pytest.mark.parametrize("name", ["readme", "readme.md", "truth.json"])
def test_other_files_beside_exports_are_passed_over(put, name):
    root = put({f"x/{HOUR}.csv": "", name: "hello"})

    assert codes(root) == []


def test_a_file_of_another_kind_that_is_asked_for_is_listed(put):
    root = put({"readme.md": "hello"})

    assert codes(root / "readme.md") == [("readme.md", "unknown_kind")]


def test_other_members_beside_exports_are_passed_over(put, zipped):
    root = put({"a.zip": zipped({"a.exe": "PK", f"{HOUR}.csv": "x"})})

    assert codes(root) == []


def test_a_truncated_archive_is_listed(put, zipped):
    content = zipped({f"{HOUR}.csv": "x"})

    assert codes(put({"a.zip": content[:-30]})) == [("a.zip", "broken_zip")]


def test_an_archive_without_any_export_is_listed(put, zipped):
    assert codes(put({"a.zip": zipped({})})) == [("a.zip", "zip_without_export")]


@pytest.mark.parametrize(
    ("member", "code"),
    [
        ("inner.zip", "zip_in_zip"),
        ("a.parquet", "parquet_in_zip"),
    ],
)
def test_members_of_other_kinds_are_listed_and_the_others_go_on(
    put, zipped, member, code
):
    result = discover([put({"a.zip": zipped({member: "PK", f"{HOUR}.csv": "x"})})])

    assert [file.contract_id for file in result.files] == [CONTRACT]
    assert [(file.code, file.path[-len(member) :]) for file in result.unusable] == [
        (code, member)
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"flags": 1}, "zip_encrypted"),
        ({"method": 12}, "zip_method_unsupported"),
        ({"size": 1 << 31}, "zip_bomb"),
        ({"packed": 1 << 31}, "zip_overlapping"),
    ],
)
def test_an_archive_that_must_not_be_read_is_listed(put, zipped, changes, code):
    content = patched(zipped({f"{HOUR}.csv": "x" * 99}), **changes)

    assert [code for _, code in codes(put({"a.zip": content}))] == [code]


def test_too_many_members_are_refused(put, zipped, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)

    root = put({"a.zip": zipped({"a.csv": "", "b.csv": ""})})

    assert codes(root) == [("a.zip", "zip_too_many_members")]


def test_a_member_over_the_size_limit_is_refused(put, zipped, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 9)

    result = discover([put({"a.zip": zipped({f"{HOUR}.csv": "x" * 10})})])

    assert [file.code for file in result.unusable] == ["file_too_large"]


@pytest.mark.parametrize(
    ("size", "code"),
    [(98, "member_larger_than_declared"), (100, "member_damaged")],
)
def test_a_member_that_lies_about_its_size_is_unreadable(put, zipped, size, code):
    content = patched(zipped({f"{HOUR}.csv": "x" * 99}), size=size)

    (file,) = found(put({f"{HOUR}.zip": content}))

    for attempt in (file.sha256, file.read_all):
        with pytest.raises(UnreadableFile) as raised:
            attempt()
        assert raised.value.code == code


@pytest.mark.parametrize("spoil", [b"x", b"\xff"])
def test_a_damaged_member_is_unreadable(put, zipped, spoil):
    content = bytearray(zipped({f"{HOUR}.csv": random.Random(1).randbytes(9999)}))
    content[5000:5001] = bytes([content[5000] ^ 0xFF])

    (file,) = found(put({f"{HOUR}.zip": bytes(content)}))

    for attempt in (file.sha256, file.read_all):
        with pytest.raises(UnreadableFile) as raised:
            attempt()
        assert raised.value.code == "member_damaged"


def test_a_file_that_is_gone_is_unreadable(put):
    (file,) = found(put({f"{HOUR}.csv": ""}))
    file.path.unlink()

    with pytest.raises(UnreadableFile) as raised:
        file.read_all()

    assert raised.value.code == "not_readable"


def test_a_large_member_is_streamed_and_not_read_at_once(put, zipped):
    content = random.Random(1).randbytes(1 << 16) * 160

    (file,) = found(put({f"{HOUR}.zip": zipped({f"{HOUR}.csv": content})}))

    assert not file.is_small
    assert file.sha256() == hashlib.sha256(content).digest()
    with pytest.raises(UnreadableFile):
        file.read_all()


@pytest.mark.parametrize(
    "member",
    [
        f"../../{TREE}/{CONTRACT}/{HOUR}.csv",
        f"/{TREE}/{CONTRACT}/{HOUR}.csv",
        f"C:\\{HOUR}.csv",
        f"..\\..\\{HOUR}.csv",
    ],
)
def test_members_that_climb_are_only_names(put, zipped, member):
    root = put({"in/a.zip": zipped({member: "x"})})

    (file,) = found(root / "in")

    assert (file.contract_id, file.layout) == (CONTRACT, Layout())
    assert file.read_all() == b"x"
    assert sorted(path.name for path in root.rglob("*")) == ["a.zip", "in"]


def test_member_names_of_old_windows_archives_are_read(put, zipped):
    name = f"90 - X/E/D/{CONTRACT}/{HOUR}.csv"
    content = zipped({name: "x"})
    renamed = "90 - Ю/E/D".encode("cp866")

    (file,) = found(put({"a.zip": content.replace(b"90 - X/E/D", renamed)}))

    assert file.layout.region_name == "Ю"


def test_an_archive_with_a_comment_is_read(put, zipped):
    content = zipped({f"{HOUR}.csv": "x"})[:-2] + b"\x05\x00hello"

    assert found(put({"a.zip": content}))[0].read_all() == b"x"


def test_an_archive_with_64_bit_numbers_is_read(put, zipped, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 5)

    root = put({"a.zip": zipped({f"{HOUR}.csv": "x" * 99, f"{OTHER}.csv": "y" * 99})})

    assert b"PK\x06\x06" in (root / "a.zip").read_bytes()
    assert [file.read_all() for file in found(root)] == [b"x" * 99, b"y" * 99]


def test_links_out_of_the_folder_are_refused_and_loops_do_not_matter(put):
    root = put({f"in/{HOUR}.csv": "", "out/secret.csv": PLAIN}) / "in"
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "out").symlink_to(root.parent / "out")
    (root / "again.csv").symlink_to(root / f"{HOUR}.csv")

    result = discover([root])

    assert [file.name for file in result.files] == [f"{HOUR}.csv"]
    assert [(Path(f.path).name, f.code) for f in result.unusable] == [
        ("out", "link_leaves_root")
    ]


def test_a_link_to_a_hidden_folder_inside_is_followed(put):
    root = put({f".data/{HOUR}.csv": ""})
    (root / "current").symlink_to(root / ".data")

    (file,) = found(root)

    assert file.path == root / "current" / f"{HOUR}.csv"


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / f"{HOUR}.csv")

    assert codes(tmp_path) == [(f"{HOUR}.csv", "not_a_regular_file")]


def test_names_that_are_no_text_are_shown_all_the_same(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.csv")).write_bytes(b"")

    assert codes(tmp_path) == [("?.csv", "name_not_understood")]


def test_a_file_can_be_sent_to_another_process(put, zipped):
    (file,) = found(put({f"{TREE}/{HOUR}.zip": zipped({f"{HOUR}.csv": "x"})}))

    sent = pickle.loads(pickle.dumps(file))  # noqa: S301

    assert (sent.path, sent.layout) == (file.path, file.layout)
    assert sent.read_all() == b"x"


def test_an_archive_of_many_members_is_read(put, zipped):
    names = [f"{CONTRACT}_export{number:03}.csv" for number in range(200)]

    files = found(put({"all.zip": zipped(dict.fromkeys(names, ""))}))

    assert [file.name.partition("!")[2] for file in files] == names


def test_a_file_takes_little_memory(put, zipped):
    hours = [NINE + timedelta(hours=hour) for hour in range(60)]
    members = {}
    for number in range(50):
        contract = CONTRACT[:-2] + f"{number:02}".replace("0", "z")
        assert is_contract_id(contract)
        for hour in hours:
            end = hour + timedelta(hours=1)
            stem = f"{contract}_{hour:%Y-%m-%d_%H%M}-{end:%H%M}"
            members[f"{TREE}/{contract}/{stem}.csv"] = ""
    root = put({"all.zip": zipped(members)})

    tracemalloc.start()
    files = discover([root]).files
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(files) == 3000
    assert held_bytes / len(files) < 400


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 255))
def test_no_bytes_make_discovering_an_archive_raise(tmp_path_factory, junk, at, byte):
    root = tmp_path_factory.mktemp("fuzz")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{HOUR}.csv", junk)
    content = bytearray(stream.getvalue())
    content[at % len(content)] = byte
    (root / "a.zip").write_bytes(content)
    (root / "b.zip").write_bytes(b"PK\x05\x06" + junk)

    result = discover([root])

    for file in result.files:
        with suppress(UnreadableFile):
            file.read_all()
