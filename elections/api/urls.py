"""Addresses of the registry and of accounts."""

from django.urls import path
from rest_framework.routers import SimpleRouter

# The schema finds what is imported.
from elections.api import accounts, schema, views  # noqa: F401

router = SimpleRouter()
router.register("regions", views.RegionViewSet, basename="region")
router.register("elections", views.ElectionViewSet, basename="election")
router.register("constituencies", views.ConstituencyViewSet, basename="constituency")

urlpatterns = [
    *router.urls,
    path("auth/login/", accounts.LoginView.as_view(), name="login"),
    path("auth/logout/", accounts.LogoutView.as_view(), name="logout"),
    path("me/", accounts.MeView.as_view(), name="me"),
]
