"""Addresses of the figures."""

from rest_framework.routers import SimpleRouter

from metrics.api import updates, views

router = SimpleRouter()
router.register("hourly-stats", views.HourlyStatsViewSet, basename="hourly-stats")
router.register("metrics/updates", updates.UpdateViewSet, basename="updates")

urlpatterns = router.urls
