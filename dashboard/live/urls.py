"""Addresses of the live process."""

from django.urls import path

from dashboard.addresses import PREFIX
from dashboard.live import views

urlpatterns = [
    path(PREFIX, views.stream, name="live-overview"),
    path(f"{PREFIX}<slug:election>/", views.stream, name="live-election"),
    path("health/live/", views.health, name="live-health"),
]

handler400 = views.bad_request
handler404 = views.not_found
handler500 = views.server_error
