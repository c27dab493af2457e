"""Addresses of the alerts."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from anomalies.api import feed, views

router = SimpleRouter()
router.register("alerts", views.AlertViewSet, basename="alerts")

urlpatterns = [
    *router.urls,
    path(
        "elections/<slug:slug>/alerts.atom",
        feed.AlertFeedView.as_view(),
        name="alert-feed",
    ),
    path(
        "elections/<slug:slug>/evaluation/",
        views.EvaluationView.as_view(),
        name="evaluation",
    ),
]
