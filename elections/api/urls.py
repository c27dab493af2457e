"""Addresses of the registry."""

from rest_framework.routers import SimpleRouter

from elections.api import views

router = SimpleRouter()
router.register("regions", views.RegionViewSet, basename="region")
router.register("elections", views.ElectionViewSet, basename="election")
router.register("constituencies", views.ConstituencyViewSet, basename="constituency")

urlpatterns = router.urls
