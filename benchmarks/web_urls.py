"""A bare view beside the project's own: bytes out of one read of Redis."""

from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.urls import path

from election_monitor import urls

KEY = "bare"


def bare(request: HttpRequest) -> HttpResponse:
    """Answer with what is kept under `KEY`."""
    kept = caches["metrics"].get(KEY)
    return HttpResponse(kept, content_type="application/json")


# Below the API, so that what every answer of it passes through is the same.
urlpatterns = [path("api/v1/bare/", bare), *urls.urlpatterns]
