"""Where everything is."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from election_monitor import health, pages

admin.site.site_header = admin.site.site_title = "Election Monitor"
admin.site.index_title = "Administration"

urlpatterns = [
    path("", pages.home, name="home"),
    path("api/v1/", include("elections.api.urls")),
    path("api/v1/", include("transactions.api.urls")),
    path("api/v1/", include("metrics.api.urls")),
    path("api/v1/", include("dashboard.api.urls")),
    path("api/v1/schema/", pages.ApiSchema.as_view(), name="schema"),
    path("api/v1/docs/", pages.api_viewer, name="api-viewer"),
    # The admin names no icon, so browsers ask for this one.
    path(
        "favicon.ico",
        RedirectView.as_view(url=static("election_monitor/icon.svg")),
    ),
    path("admin/", admin.site.urls),
    path("health/live/", health.live, name="health-live"),
    path("health/ready/", health.ready, name="health-ready"),
]

handler400 = pages.bad_request
handler403 = pages.permission_denied
handler404 = pages.not_found
handler500 = pages.server_error
