"""Addresses of the figures."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from elections.api.views import CONTRACT_ID, SLUG
from metrics.api import (
    cache,
    constituencies,
    dashboard,
    elections,
    flow,
    members,
    updates,
    views,
)

router = SimpleRouter()
router.register("hourly-stats", views.HourlyStatsViewSet, basename="hourly-stats")
router.register("metrics/updates", updates.UpdateViewSet, basename="updates")

CONSTITUENCY = rf"^metrics/constituencies/(?P<contract_id>{CONTRACT_ID})"
ELECTION = rf"^metrics/elections/(?P<slug>{SLUG})"

urlpatterns = [
    *router.urls,
    path("metrics/cache/", cache.CacheView.as_view(), name="cache"),
    path(
        "metrics/cache/invalidate/",
        cache.CacheInvalidationView.as_view(),
        name="cache-invalidation",
    ),
    re_path(
        # Before the contract ids, of which it could be one.
        r"^metrics/constituencies/compare/$",
        constituencies.ConstituencyComparisonView.as_view(),
        name="constituency-comparison",
    ),
    re_path(
        rf"{CONSTITUENCY}/$",
        constituencies.ConstituencyMetricsView.as_view(),
        name="constituency-metrics",
    ),
    re_path(
        rf"{CONSTITUENCY}/periods/$",
        constituencies.ConstituencyPeriodsView.as_view(),
        name="constituency-periods",
    ),
    re_path(
        rf"{CONSTITUENCY}/pattern/$",
        constituencies.ConstituencyPatternView.as_view(),
        name="constituency-pattern",
    ),
    re_path(
        rf"{ELECTION}/$",
        elections.ElectionMetricsView.as_view(),
        name="election-metrics",
    ),
    re_path(
        rf"{ELECTION}/periods/$",
        elections.ElectionPeriodsView.as_view(),
        name="election-periods",
    ),
    re_path(
        rf"{ELECTION}/pattern/$",
        elections.ElectionPatternView.as_view(),
        name="election-pattern",
    ),
    re_path(
        rf"{ELECTION}/timeline/$",
        flow.ElectionTimelineView.as_view(),
        name="election-timeline",
    ),
    re_path(
        rf"{ELECTION}/constituencies/$",
        members.ElectionConstituenciesView.as_view(),
        name="election-constituencies",
    ),
    re_path(
        rf"{ELECTION}/table/$",
        members.ElectionTableView.as_view(),
        name="election-table",
    ),
    re_path(
        rf"^metrics/live/(?P<slug>{SLUG})/windows/$",
        flow.ElectionWindowsView.as_view(),
        name="election-windows",
    ),
    re_path(
        r"^metrics/dashboard/summary/$",
        dashboard.DashboardSummaryView.as_view(),
        name="dashboard-summary",
    ),
    re_path(
        r"^metrics/dashboard/detailed/$",
        dashboard.DashboardDetailedView.as_view(),
        name="dashboard-detailed",
    ),
]
