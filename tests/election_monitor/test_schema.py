"""The description of the API is complete: examples, errors, headers, who may call."""

import json

import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker

JSON = "application/json"
# What stands in files has no example of JSON.
FILES = {"multipart/form-data", "text/csv", "application/vnd.apache.parquet"}
FIGURES = "/api/v1/metrics/constituencies/{contract_id}/"


@pytest.fixture(scope="module")
def schema():
    return json.loads(Client().get("/api/v1/schema/?format=json").content)


@pytest.fixture(scope="module")
def operations(schema):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def bodies(operation):
    """Return each described body of an operation: name, type and description."""
    for status, response in operation["responses"].items():
        for media_type, described in response.get("content", {}).items():
            yield f"answer {status}", media_type, described
    sent = operation.get("requestBody", {}).get("content", {})
    for media_type, described in sent.items():
        yield "body", media_type, described


def test_it_is_what_the_specification_asks_for(schema):
    validate_schema(schema)


def test_every_body_has_an_example(operations):
    without = [
        f"{name}: {body}"
        for name, operation in operations.items()
        for body, media_type, described in bodies(operation)
        if media_type not in FILES and not described.get("examples")
    ]

    assert without == []


def test_examples_are_what_is_described(schema, operations):
    components = {"components": schema["components"]}
    for name, operation in operations.items():
        for body, media_type, described in bodies(operation):
            if media_type != JSON:
                continue
            check = Draft202012Validator(
                {**components, **described["schema"]}, format_checker=FormatChecker()
            )
            for example in described["examples"].values():
                found = [error.message for error in check.iter_errors(example["value"])]
                assert found == [], f"{name}: {body}"


def test_examples_lack_no_field(schema, operations):
    """A field of an answer is never left out, whether or not it is required."""
    for name, operation in operations.items():
        for body, media_type, described in bodies(operation):
            reference = described["schema"].get("$ref")
            if media_type != JSON or body == "body" or not reference:
                continue
            fields = schema["components"]["schemas"][reference.split("/")[-1]]
            for example in described["examples"].values():
                assert set(example["value"]) == set(fields["properties"]), name


def test_examples_of_errors_are_errors(schema):
    error = {**schema["components"]["schemas"]["Error"]}
    check = Draft202012Validator(error)
    for response in schema["components"]["responses"].values():
        for described in response.get("content", {}).values():
            for example in described["examples"].values():
                check.validate(example["value"])


def test_every_operation_says_how_it_is_refused(operations):
    for name, operation in operations.items():
        described = set(operation["responses"])
        assert {"400", "401", "406", "429"} <= described, name
        assert ("404" in described) >= ("{" in name), name
        assert ({"413", "415"} <= described) == ("requestBody" in operation), name


def test_when_to_come_again_is_a_header(schema):
    too_many = schema["components"]["responses"]["TooMany"]
    not_signed_in = schema["components"]["responses"]["NotSignedIn"]

    assert list(too_many["headers"]) == ["Retry-After"]
    assert list(not_signed_in["headers"]) == ["WWW-Authenticate"]


def test_answers_that_are_kept_say_so(operations):
    figures, updates = (
        operations[f"GET {FIGURES}"],
        operations["GET /api/v1/metrics/updates/"],
    )

    assert set(figures["responses"]["200"]["headers"]) == {
        *("ETag", "Cache-Control", "X-Cache")
    }
    assert "304" in figures["responses"]
    assert {"$ref": "#/components/parameters/If-None-Match"} in figures["parameters"]
    assert "304" not in updates["responses"]


def test_who_may_call_is_said(operations):
    figures = operations[f"GET {FIGURES}"]

    assert (
        "Role: `viewer`; everybody, where reading is public."
        in (figures["description"])
    )
    assert {} in figures["security"]
    assert "Role: `observer`." in operations["GET /api/v1/transactions/"]["description"]
    assert "Role: `feeder`." in operations["POST /api/v1/transactions/"]["description"]
    assert {} not in operations["GET /api/v1/transactions/"]["security"]


def test_every_operation_that_is_not_for_all_says_for_whom(operations):
    for_all = {name for name in operations if "/auth/" in name or "/me/" in name}

    for name in operations.keys() - for_all:
        assert "Role: `" in operations[name]["description"], name
    # It changes nothing, and is open where reading is.
    assert {} in operations["POST /api/v1/live/ticket/"]["security"]
