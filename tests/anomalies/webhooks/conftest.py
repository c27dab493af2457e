"""What tests of webhooks share: a receiver, a webhook to it, an alert, a clock."""

import pytest

from tests.anomalies.factories import make_alert
from tests.anomalies.webhooks.deliveries import Clock, make_webhook
from tests.anomalies.webhooks.receiver import receiving
from tests.factories import make_constituency, make_election


@pytest.fixture(autouse=True)
def inwards(settings):
    """Let receivers of tests be on this machine, whatever the environment says."""
    settings.WEBHOOK_PRIVATE_HOSTS = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def webhook(receiver):
    return make_webhook(receiver)


@pytest.fixture
def alert(db):
    election = make_election(slug="duma")
    place = make_constituency(election=election, contract_id="A", name="District 5")
    return make_alert(election=election, constituency=place)
