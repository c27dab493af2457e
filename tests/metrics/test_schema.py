"""What the schema shows of the figures is what the API answers."""

import json
import re

import pytest
from django.test import Client

SHOWN = re.compile(
    r"/api/v1/(metrics/(constituencies|elections|live|dashboard)/|hourly|transactions)"
)


@pytest.fixture(scope="module")
def schema():
    return json.loads(Client().get("/api/v1/schema/?format=json").content)


def answers(schema):
    """Return the JSON answer of every GET of figures, by address."""
    return {
        path: methods["get"]["responses"]["200"]["content"]["application/json"]
        for path, methods in schema["paths"].items()
        if SHOWN.match(path)
    }


def properties(schema, described):
    """Return the names that a described answer has, and the description of each."""
    if "$ref" in described:
        described = schema["components"]["schemas"][described["$ref"].split("/")[-1]]
    return described["properties"]


def test_examples_have_the_fields_of_the_answers(schema):
    for path, answer in answers(schema).items():
        fields = properties(schema, answer["schema"])
        value = answer["examples"]["Answer"]["value"]
        assert set(value) == set(fields), path
        for name in {"results", "elections", "top_movers", "silent_feeds"} & set(
            fields
        ):
            items = properties(schema, fields[name]["items"])
            assert set(value[name][0]) == set(items), (path, name)


def test_every_answer_says_where_it_comes_from(schema):
    for path, answer in answers(schema).items():
        fields = properties(schema, answer["schema"])
        assert {"as_of", "coverage", "is_simulated"} <= set(fields), path
