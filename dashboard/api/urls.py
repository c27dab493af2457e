"""Addresses of what the live stream needs from the web process."""

from django.urls import path

from dashboard.api import views

urlpatterns = [path("live/ticket/", views.TicketView.as_view(), name="live-ticket")]
