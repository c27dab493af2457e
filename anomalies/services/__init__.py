"""The verbs of the anomalies."""

from anomalies.services.alerts import (
    AlertChanged,
    AlertService,
    ImpossibleTransition,
    ReasonMissing,
)
from anomalies.services.evaluation import AnomalyService
from anomalies.services.forensics import ForensicsReport, RuleReport, forensics
from anomalies.services.logical import LogicalRules
from anomalies.services.station_files import UnreadableStations, read_stations

__all__ = [
    "AlertChanged",
    "AlertService",
    "AnomalyService",
    "ForensicsReport",
    "ImpossibleTransition",
    "LogicalRules",
    "ReasonMissing",
    "RuleReport",
    "UnreadableStations",
    "forensics",
    "read_stations",
]
