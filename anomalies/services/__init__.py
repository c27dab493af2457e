"""The verbs of the anomalies."""

from anomalies.services.forensics import ForensicsReport, RuleReport, forensics
from anomalies.services.station_files import UnreadableStations, read_stations

__all__ = [
    "ForensicsReport",
    "RuleReport",
    "UnreadableStations",
    "forensics",
    "read_stations",
]
