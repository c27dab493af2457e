"""What many tests need."""

import pgtrigger
import pytest


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Let tests that commit be cleaned up, which pytest-django does by TRUNCATE."""
    with django_db_blocker.unblock():
        pgtrigger.disable(
            "transactions.Transaction:refuse_truncate",
            "transactions.RollbackEvent:refuse_truncate",
        )


@pytest.fixture(autouse=True)
def no_answers_are_kept(settings):
    """Let every answer be computed: tests change rows without a commit."""
    nothing = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    settings.CACHES = settings.CACHES | {"metrics": nothing}
