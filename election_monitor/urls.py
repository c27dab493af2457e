"""Where everything is."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

import anomalies.api.urls
import dashboard.api.urls
import elections.api.urls
import metrics.api.urls
import transactions.api.urls
from election_monitor import health, pages

admin.site.site_header = admin.site.site_title = "Election Monitor"
admin.site.index_title = "Administration"

# In one list: each further one that is looked through for nothing costs.
api = [
    *elections.api.urls.urlpatterns,
    *transactions.api.urls.urlpatterns,
    *metrics.api.urls.urlpatterns,
    *anomalies.api.urls.urlpatterns,
    *dashboard.api.urls.urlpatterns,
    path("schema/", pages.ApiSchema.as_view(), name="schema"),
    path("docs/", pages.api_viewer, name="api-viewer"),
]
urlpatterns = [
    path("", pages.home, name="home"),
    path("api/v1/", include(api)),
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
