"""Addresses of the alerts."""

from rest_framework.routers import SimpleRouter

from anomalies.api import views

router = SimpleRouter()
router.register("alerts", views.AlertViewSet, basename="alerts")

urlpatterns = router.urls
