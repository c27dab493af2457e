"""The statistical rules, by families that share what they compute."""

from anomalies.services.statistical.family import Observed, Terms
from anomalies.services.statistical.rules import (
    STATISTICAL,
    WITHOUT_FIGURES,
    StatisticalRules,
)
from anomalies.services.statistical.within import WITHIN

__all__ = [
    "STATISTICAL",
    "WITHIN",
    "WITHOUT_FIGURES",
    "Observed",
    "StatisticalRules",
    "Terms",
]
