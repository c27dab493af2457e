"""Tokens of machines in the admin: made, shown once, revoked."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from knox.models import get_digest_token
from knox.settings import CONSTANTS

from elections.admin import cells
from elections.admin.base import Styled
from elections.models import MachineToken


class MachineTokenForm(forms.ModelForm[MachineToken]):
    """What a token is for, whose rights it has, and when it ends."""

    class Meta:
        model = MachineToken
        fields = ["name", "user", "expiry"]
        labels = {"user": "owner", "expiry": "ends at (UTC)"}
        help_texts = {
            "user": "The machine may do what this user may.",
            "expiry": "Empty: it holds until it is revoked.",
        }

    def clean_user(self) -> User:
        user: User = self.cleaned_data["user"]
        if not user.is_active:
            raise forms.ValidationError("This user may not sign in.")
        return user

    def clean_expiry(self) -> datetime | None:
        end: datetime | None = self.cleaned_data["expiry"]
        if end is not None and end <= timezone.now():
            raise forms.ValidationError("This time is over.")
        return end


class MachineTokenAdmin(Styled, ModelAdmin[MachineToken]):
    form = MachineTokenForm
    list_display = ["name", "user", "starts_with", "made", "ends"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username", "token_key"]
    search_help_text = "Purpose, owner, or the beginning of a token"
    ordering = ["-created", "digest"]
    autocomplete_fields = ["user"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["name", "user", "expiry"]
        return ["name", "user", "starts_with", "made", "ends"]

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        if revoke := actions.get("delete_selected"):
            function, name, _ = revoke
            actions["delete_selected"] = (function, name, "Revoke selected tokens")
        return actions

    def has_change_permission(
        self, request: HttpRequest, obj: MachineToken | None = None
    ) -> bool:
        # One that does not fit any more is revoked, and a new one is made.
        return False

    def save_model(
        self, request: Any, obj: MachineToken, form: Any, change: bool
    ) -> None:
        obj.digest, request.new_token = get_digest_token()
        obj.token_key = request.new_token[: CONSTANTS.TOKEN_KEY_LENGTH]
        obj.save(force_insert=True)

    def response_add(
        self, request: Any, obj: MachineToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the token, for the only time; a message would be stored on its way."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Machine token",
            "opts": self.opts,
            "media": self.media,
            "made": obj,
            "secret": request.new_token,
        }
        response = TemplateResponse(
            request, "admin/elections/machinetoken/made.html", context
        )
        add_never_cache_headers(response)
        return response

    @admin.display(description="begins with")
    def starts_with(self, obj: MachineToken) -> SafeString:
        return cells.code(obj.token_key)

    @admin.display(description="made", ordering="created")
    def made(self, obj: MachineToken) -> SafeString:
        return cells.moment(obj.created)

    @admin.display(description="ends", ordering="expiry")
    def ends(self, obj: MachineToken) -> SafeString:
        if obj.expiry is not None and obj.expiry <= timezone.now():
            return cells.badge("bad", "has ended")
        return cells.moment(obj.expiry)
