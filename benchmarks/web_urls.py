"""A bare view beside the project's own: bytes out of one read of Redis."""

from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

KEY = "bare"


def bare(request: HttpRequest) -> HttpResponse:
    """Answer with what is kept under `KEY`."""
    kept = caches["metrics"].get(KEY)
    return HttpResponse(kept, content_type="application/json")


urlpatterns = [path("bare/", bare), path("", include("election_monitor.urls"))]
