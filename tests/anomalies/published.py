"""Results that were published, and what was found in them."""

import json
from functools import cache
from typing import Any

from anomalies.rules.stations import Stations
from anomalies.services import read_stations
from tests.shared_data import FORENSICS

YEARS = ("2004", "2007", "2011", "2012", "2016", "2018", "2021")


@cache
def russia(year: str) -> Stations:
    return read_stations(FORENSICS / f"russia_{year}.csv.gz")


@cache
def expected() -> dict[str, Any]:
    return json.loads((FORENSICS / "expected.json").read_text())
