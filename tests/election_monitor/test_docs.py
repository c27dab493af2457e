"""What a user can type, set or be told is mentioned in docs/."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from transactions.formats.reasons import FileReason, Reason

REPOSITORY = Path(__file__).resolve().parents[2]
APPS = (
    "election_monitor",
    "elections",
    "transactions",
    "metrics",
    "anomalies",
    "dashboard",
)
DOCS = "\n".join(
    page.read_text() for page in sorted((REPOSITORY / "docs").rglob("*.md"))
)
# How a value of the environment is read, wherever that is.
READ = re.compile(
    r"""\b(?:env\.\w+|flag|count|url|rates|origins|os\.environ\.get)\(\s*["']([A-Z][A-Z_]*)["']"""
)
EXCEPTIONS = {
    "AuthenticationFailed",
    "NotFound",
    "PermissionDenied",
    "Refusal",
    "TooLarge",
}
CODED = {
    *EXCEPTIONS,
    "ErrorDetail",
    "Refusal",
    "ValidationError",
    "_invalid",
    "_problem",
    "invalid",
}


def missing(names, pattern="{}"):
    return [
        name
        for name in sorted(set(names))
        if not re.search(rf"\b{re.escape(pattern.format(name))}\b", DOCS)
    ]


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((REPOSITORY / folder).rglob("*.py"))


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


def error_codes() -> set[str]:
    """Return the codes that our own sources give to answers of the API."""
    found = set()
    for path in (
        *sources("elections/api", "transactions/api", "metrics/api"),
        *sources("dashboard/api", "dashboard/live"),
        REPOSITORY / "election_monitor/api.py",
        REPOSITORY / "election_monitor/pages.py",
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _called(node) in CODED:
                words = {each.arg: each.value for each in node.keywords}
                # The last word, of those that have as many: of exceptions the second.
                place = 1 if _called(node) in EXCEPTIONS else 2
                code = words.get(
                    "code", node.args[place] if node.args[place:] else None
                )
                if isinstance(code, ast.Constant):
                    found.add(str(code.value))
    return found


def test_every_management_command_is_documented():
    commands = [
        path.stem
        for app in APPS
        for path in (REPOSITORY / app).glob("management/commands/[a-z]*.py")
    ]

    assert "import_transactions" in commands
    assert missing(commands, "manage.py {}") == []


def test_every_setting_of_the_environment_is_documented():
    names = {name for path in sources(*APPS) for name in READ.findall(path.read_text())}

    assert {"DATABASE_URL", "DEMO", "PORT", "ELECTION_MONITOR_CHUNK_ROWS"} <= names
    assert missing(names) == []


def test_every_error_code_of_the_api_is_documented():
    codes = error_codes()

    assert {"out_of_range", "unknown_parameter", "period_empty", "not_found"} <= codes
    assert {"invalid_token", "csrf_failed", "locked_out", "file_too_large"} <= codes
    assert "ticket_missing" in codes
    assert [code for code in sorted(codes) if f"`{code}`" not in DOCS] == []


def test_every_reason_of_a_refusal_is_documented():
    codes = [reason.code for reason in (*Reason, *FileReason)]

    assert [code for code in codes if f"| `{code}` |" not in DOCS] == []
