"""The cache as a page of the admin: how it does, and how to end what it keeps."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from elections.admin.base import ReadOnlyAdmin
from elections.roles import Role, has_role
from elections.tags import constituency_tag
from metrics.cache import is_known_tag, metrics_cache
from metrics.models import KeptAnswers
from metrics.services import cache_state

NOTHING_CHOSEN = "Choose a tag, or name a constituency."


class KeptAnswersAdmin(ReadOnlyAdmin[KeptAnswers]):
    """Takes the place of a list: there are no rows."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request.user, Role.OPERATOR)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            self._invalidate(request)
            return redirect("admin:metrics_keptanswers_changelist")
        state = cache_state()
        context = {
            **self.admin_site.each_context(request),
            "title": "Cache",
            "opts": self.opts,
            "media": self.media,
            "state": state,
            "asked": (state.hits or 0) + (state.misses or 0),
            "percent": f"{100 * (state.hit_rate or 0):.1f}",
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "admin/metrics/keptanswers/change_list.html", context
        )

    def _invalidate(self, request: HttpRequest) -> None:
        tags = [tag for tag in request.POST.getlist("tags") if is_known_tag(tag)]
        if contract_id := request.POST.get("constituency", "").strip():
            tags.append(constituency_tag(contract_id))
        if not tags:
            self.message_user(request, NOTHING_CHOSEN, messages.WARNING)
            return
        cache = metrics_cache()
        cache.invalidate(tags)
        named = ", ".join(tags)
        if cache.is_owing:
            told = f"The cache does not answer. {named} ends as soon as it does."
            self.message_user(request, told, messages.WARNING)
        else:
            self.message_user(request, f"Ended what depends on {named}.")


admin.site.register(KeptAnswers, KeptAnswersAdmin)
