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
from anomalies.services.station_reports import (
    ElectionGone,
    StoredReport,
    store_report,
)
from anomalies.services.webhooks import WebhookService

__all__ = [
    "AlertChanged",
    "AlertService",
    "AnomalyService",
    "ElectionGone",
    "ForensicsReport",
    "ImpossibleTransition",
    "LogicalRules",
    "ReasonMissing",
    "RuleReport",
    "StoredReport",
    "UnreadableStations",
    "WebhookService",
    "forensics",
    "read_stations",
    "store_report",
]
