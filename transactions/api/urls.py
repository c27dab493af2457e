"""Addresses of the ways into the ledger."""

from typing import Any

from django.urls import path
from rest_framework.routers import SimpleRouter

from transactions.api import views

router = SimpleRouter()
router.register("transactions", views.TransactionViewSet, basename="transaction")
router.register("imports", views.ImportViewSet, basename="import")

LIST: dict[str, Any] = {"get": "list"}
urlpatterns = [
    *router.urls,
    path(
        "imports/<int:pk>/rejected/",
        views.RejectedRows.as_view(LIST),
        name="import-rejected",
    ),
    path(
        "imports/<int:pk>/conflicting/",
        views.ConflictingRows.as_view(LIST),
        name="import-conflicting",
    ),
    path(
        "imports/<int:pk>/vanished/",
        views.VanishedRows.as_view(LIST),
        name="import-vanished",
    ),
]
