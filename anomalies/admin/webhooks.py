"""Webhooks in the admin: who is told of alerts, and what became of each delivery."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.safestring import SafeString

from anomalies.models import DeliveryStatus, Webhook, WebhookDelivery
from anomalies.services import WebhookService
from anomalies.services.webhooks import new_secret
from elections.admin import cells
from elections.admin.base import DeletesOnlyWhatIsEmpty, ReadOnlyAdmin, Styled
from elections.clock import database_now

FIELDS = ["name", "url", "election", "least_severity", "is_on"]
BADGES = {
    DeliveryStatus.PENDING: "busy",
    DeliveryStatus.SENT: "good",
    DeliveryStatus.FAILED: "bad",
    DeliveryStatus.DEAD: "bad",
}


class WebhookAdmin(Styled, DeletesOnlyWhatIsEmpty[Webhook]):
    list_display = ["name", "address", "election", "least_severity", "is_on", "sent"]
    list_filter = ["is_on", "least_severity"]
    list_select_related = ["election"]
    search_fields = ["name", "url", "election__slug"]
    ordering = ["name"]
    autocomplete_fields = ["election"]
    fields = (*FIELDS,)
    actions = ["send_test", "rotate_secret"]

    def obstacles(self, obj: Webhook) -> list[str]:
        if not obj.deliveries.exists():
            return []
        return [f"What {obj} was told of is kept: switch it off instead."]

    def save_model(self, request: Any, obj: Webhook, form: Any, change: bool) -> None:
        if change:
            # Whoever rotates the secret meanwhile keeps the new one.
            obj.save(update_fields=FIELDS)
            return
        obj.secret, obj.created_at = new_secret(), timezone.now()
        obj.save(force_insert=True)

    def response_add(
        self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show_secret(request, obj, obj.secret, is_new=False)

    @admin.action(description="Send a test", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: "QuerySet[Webhook]") -> None:
        for webhook in queryset.order_by("pk"):
            if not webhook.is_on:
                messages.warning(request, f"{webhook} is off: nothing is sent to it.")
                continue
            WebhookService().send_test(webhook, now=database_now())
            page = cells.list_url(WebhookDelivery, webhook__id__exact=webhook.pk)
            messages.success(
                request,
                format_html(
                    "A test is on its way to {}: see {}.",
                    webhook,
                    cells.link(page, "its deliveries"),
                ),
            )

    @admin.action(
        description="Make a new secret, and end the old one", permissions=["change"]
    )
    def rotate_secret(
        self, request: HttpRequest, queryset: "QuerySet[Webhook]"
    ) -> HttpResponse | None:
        webhooks = list(queryset[:2])
        if len(webhooks) != 1:
            messages.error(request, "Choose one webhook: its secret is shown once.")
            return None
        [webhook] = webhooks
        secret = WebhookService().rotate_secret(webhook)
        self.log_change(request, webhook, "Made a new secret.")
        return self._show_secret(request, webhook, secret, is_new=True)

    def _show_secret(
        self, request: HttpRequest, webhook: Webhook, secret: str, *, is_new: bool
    ) -> HttpResponse:
        """Show it, for the only time; a message would be stored on its way."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Secret of a webhook",
            "opts": self.opts,
            "media": self.media,
            "webhook": webhook,
            "secret": secret,
            "is_new": is_new,
        }
        response = TemplateResponse(
            request, "admin/anomalies/webhook/secret.html", context
        )
        add_never_cache_headers(response)
        return response

    @admin.display(description="address", ordering="url")
    def address(self, obj: Webhook) -> SafeString:
        return cells.short(obj.url, 60)

    @admin.display(description="deliveries")
    def sent(self, obj: Webhook) -> SafeString:
        page = cells.list_url(WebhookDelivery, webhook__id__exact=obj.pk)
        return cells.link(page, "show")


class WebhookDeliveryAdmin(ReadOnlyAdmin[WebhookDelivery]):
    list_display = [
        *("id", "webhook", "what", "state", "attempts", "response_code"),
        *("reason", "asked", "due", "sent"),
    ]
    list_display_links = ["id"]
    list_filter = ["status", "webhook"]
    list_select_related = ["webhook", "alert"]
    search_fields = ["webhook__name", "alert__rule"]
    search_help_text = "Name of a webhook, or code of a rule"
    ordering = ["-id"]
    actions = ["send_again"]
    fields = [
        *("webhook", "what", ("state", "attempts", "response_code"), "last_error"),
        *(("asked", "due", "sent"), "as_sent"),
    ]

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may have deliveries sent again."""
        return request.user.has_perm("anomalies.change_webhookdelivery")

    @admin.action(description="Send again", permissions=["steer"])
    def send_again(
        self, request: HttpRequest, queryset: "QuerySet[WebhookDelivery]"
    ) -> None:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True))
        if count := WebhookService().send_again(ids, now=database_now()):
            messages.success(request, f"{count:,} deliveries are due again.")
        else:
            messages.warning(request, "All of them wait to be sent anyway.")

    @admin.display(description="what")
    def what(self, obj: WebhookDelivery) -> str | SafeString:
        if obj.alert is None:
            return "a test"
        page = cells.change_url(obj.alert)
        return cells.link(page, f"{obj.alert}, version {obj.version}")

    @admin.display(description="status", ordering="status")
    def state(self, obj: WebhookDelivery) -> SafeString:
        return cells.badge(BADGES[DeliveryStatus(obj.status)], obj.status)

    @admin.display(description="last failure")
    def reason(self, obj: WebhookDelivery) -> SafeString:
        return cells.short(obj.error, 60)

    @admin.display(description="last failure")
    def last_error(self, obj: WebhookDelivery) -> SafeString:
        return cells.whole(obj.error)

    @admin.display(description="asked for", ordering="created_at")
    def asked(self, obj: WebhookDelivery) -> SafeString:
        return cells.moment(obj.created_at, timespec="seconds")

    @admin.display(description="due", ordering="available_at")
    def due(self, obj: WebhookDelivery) -> SafeString:
        return cells.moment(obj.available_at, timespec="seconds")

    @admin.display(description="sent", ordering="sent_at")
    def sent(self, obj: WebhookDelivery) -> SafeString:
        return cells.moment(obj.sent_at, timespec="seconds")

    @admin.display(description="body")
    def as_sent(self, obj: WebhookDelivery) -> SafeString:
        return format_html("<pre>{}</pre>", obj.body)
