"""Addresses of the figures."""

from rest_framework.routers import SimpleRouter

from metrics.api import views

router = SimpleRouter()
router.register("hourly-stats", views.HourlyStatsViewSet, basename="hourly-stats")

urlpatterns = router.urls
