"""The statistical rules, by families that share what they compute."""

from anomalies.services.statistical.family import Terms
from anomalies.services.statistical.rules import STATISTICAL, StatisticalRules
from anomalies.services.statistical.within import WITHIN

__all__ = ["STATISTICAL", "WITHIN", "StatisticalRules", "Terms"]
