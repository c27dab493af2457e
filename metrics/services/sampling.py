"""Compare a few constituencies with the ledger, again and again, others each time."""

from datetime import datetime

import structlog
from django.db import transaction

from elections.models import Constituency
from metrics.services.discrepancies import record_differences, resolve_discrepancies
from metrics.services.verification import verify

logger = structlog.get_logger(__name__)

FOUND_BY = "verify"


def verify_sample(*, count: int, now: datetime) -> int:
    """Compare `count` constituencies chosen at random; return how many figures differ.

    What differs becomes an open discrepancy and is logged, what is right again is
    resolved. Nothing is repaired: a wrong figure has a cause that somebody has to see.
    """
    lively = Constituency.objects.filter(transaction_count__gt=0).order_by("?")
    chosen = list(lively.values_list("contract_id", flat=True)[:count])
    differences = list(verify(contract_ids=chosen, now=now))
    with transaction.atomic():
        record_differences(differences, found_by=FOUND_BY, now=now)
        resolve_discrepancies(differences, checked=chosen, found_by=FOUND_BY, now=now)
    for difference in differences:
        logger.error("Figure differs from the ledger", difference=str(difference))
    return len(differences)
