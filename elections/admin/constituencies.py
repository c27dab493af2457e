"""Constituencies in the admin, with their current figures."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from elections.admin import cells
from elections.admin.base import BigTableAdmin
from elections.admin.exchange import (
    STAYS_IN_ITS_ELECTION,
    ConstituencyResource,
    has_rows,
)
from elections.admin.filters import ElectionFilter, FormFilter, Input
from elections.admin.registry import (
    STATUS_KINDS,
    RegistryAdmin,
    election_link,
    warn_of_zone,
)
from elections.locks import lock_constituencies
from elections.models import Constituency, ConstituencyEvent, Region, RegisterSource


class ConstituencyForm(forms.ModelForm[Constituency]):
    def clean(self) -> Any:
        """Refuse a move that was filled in before the first rows came."""
        wanted = self.data.get(self.add_prefix("election"))
        stays = wanted in {None, str(self.instance.election_id)}
        if self.instance.pk and not stays and has_rows(self.instance):
            raise ValidationError(STAYS_IN_ITS_ELECTION, code="has_rows")
        return super().clean()


class RegionFilter(FormFilter):
    title = "region"
    names = ("region__id__exact",)

    def inputs(self) -> list[Input]:
        (name,) = self.names
        regions = Region.objects.order_by("code")
        options = [("", "All")] + [
            (str(region.pk), Truncator(str(region)).chars(60)) for region in regions
        ]
        return [Input(name, "Region", self.value(name), "select", options)]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        pk = self.value(self.names[0])
        return queryset.filter(region=int(pk)) if pk.isdecimal() else queryset


class ConstituencyAdmin(BigTableAdmin[Constituency], RegistryAdmin[Constituency]):
    events = ConstituencyEvent
    resource_classes = [ConstituencyResource]
    form = ConstituencyForm
    list_display = [
        "short_name",
        "contract",
        "issued",
        "cast",
        "participation",
        "transactions",
        "last_transaction",
        "state",
        "of_election",
        "of_region",
        "pages",
    ]
    list_select_related = ["election", "region"]
    list_filter = [ElectionFilter, RegionFilter, "status", "registered_voters_source"]
    search_fields = ["contract_id", "name", "district"]
    search_help_text = "Contract id, or a part of the name or the district"
    ordering = ["contract_id"]
    autocomplete_fields = ["election", "region"]
    readonly_fields = [
        "pages",
        "state",
        "zone",
        "issued",
        "cast",
        "further_votes",
        "participation",
        "transactions",
        "failed",
        "last_transaction",
        "register",
        "contract_terms",
    ]
    own_fields = [
        "contract_id",
        "election",
        "region",
        "name",
        "district",
        "ballot_kind",
        "status",
        "stated_registered_voters",
    ]
    figures = [
        "pages",
        ("issued", "cast", "further_votes"),
        "participation",
        "register",
        ("transactions", "failed"),
        "last_transaction",
        "zone",
        "contract_terms",
    ]

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        own = (None, {"fields": self.own_fields})
        if obj is None:
            return [own]
        return [("Current figures", {"fields": self.figures}), own]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        # What its rows were loaded under stays as it is.
        fixed = ["contract_id", "election"] if obj and has_rows(obj) else []
        return [*super().get_readonly_fields(request, obj), *fixed]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Constituency]":
        return super().get_queryset(request).select_related("election", "region")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Constituency | None:
        # Loaders write totals of this row; what is read here must still hold at the end.
        if (
            request.method == "POST"
            and connection.in_atomic_block
            and object_id.isdecimal()
        ):
            lock_constituencies([int(object_id)])
        return super().get_object(request, object_id, from_field)

    @admin.display(description="contract id", ordering="contract_id")
    def contract(self, obj: Constituency) -> SafeString:
        return cells.code(obj.contract_id, 16)

    @admin.display(description="election", ordering="election__name")
    def of_election(self, obj: Constituency) -> SafeString:
        return election_link(obj.election, 32)

    @admin.display(description="region", ordering="region__code")
    def of_region(self, obj: Constituency) -> SafeString:
        return cells.short(str(obj.region), 24) if obj.region else cells.NOTHING

    @admin.display(description="status", ordering="status")
    def state(self, obj: Constituency) -> SafeString:
        return cells.badge(STATUS_KINDS.get(obj.status, "quiet"), obj.status)

    @admin.display(description="time zone")
    def zone(self, obj: Constituency) -> str:
        return obj.timezone

    @admin.display(description="bulletins issued", ordering="bulletins_issued")
    def issued(self, obj: Constituency) -> SafeString:
        return cells.number(obj.bulletins_issued)

    @admin.display(description="votes cast", ordering="votes_cast")
    def cast(self, obj: Constituency) -> SafeString:
        return cells.number(obj.votes_cast)

    @admin.display(description="revotes", ordering="revotes")
    def further_votes(self, obj: Constituency) -> SafeString:
        return cells.number(obj.revotes)

    @admin.display(description="participation", ordering="participation_rate")
    def participation(self, obj: Constituency) -> SafeString:
        return cells.percent(obj.participation_rate)

    @admin.display(description="transactions", ordering="transaction_count")
    def transactions(self, obj: Constituency) -> SafeString:
        return cells.number(obj.transaction_count)

    @admin.display(description="refused by the contract", ordering="failed_count")
    def failed(self, obj: Constituency) -> SafeString:
        return cells.number(obj.failed_count)

    @admin.display(description="last ledger time", ordering="last_transaction_at")
    def last_transaction(self, obj: Constituency) -> SafeString:
        return cells.moment(obj.last_transaction_at, obj.zone)

    @admin.display(description="registered voters")
    def register(self, obj: Constituency) -> SafeString:
        source = RegisterSource(obj.registered_voters_source or "unknown").label
        return format_html("{} ({})", cells.number(obj.registered_voters), source)

    @admin.display(description="contract")
    def contract_terms(self, obj: Constituency) -> SafeString:
        revoting = {True: "allowed", False: "blocked", None: "not known"}
        return format_html(
            "Issuing from {} to {}, voting until {}; revoting {}",
            cells.moment(obj.issue_opens_at, obj.zone),
            cells.moment(obj.issue_closes_at, obj.zone),
            cells.moment(obj.voting_closes_at, obj.zone),
            revoting[obj.revoting_allowed],
        )

    @admin.display(description="see also")
    def pages(self, obj: Constituency) -> SafeString:
        return cells.links(self.related_pages(obj)) or cells.NOTHING

    def related_pages(self, obj: Constituency) -> list[tuple[str, str]]:
        """Return the lists that show a constituency's rows: label and address."""
        return []

    def obstacles(self, obj: Constituency) -> list[str]:
        if not has_rows(obj):
            return []
        return [f"{obj.transaction_count:,} transactions in the ledger, which is kept"]

    def derive(
        self, obj: Constituency, form: "forms.ModelForm[Constituency]"
    ) -> Iterable[str]:
        if "stated_registered_voters" not in form.changed_data:
            return ()
        obj.stated_registered_voters_source = RegisterSource.STAFF
        return ["stated_registered_voters_source"]

    def save_model(
        self,
        request: Any,
        obj: Constituency,
        form: "forms.ModelForm[Constituency]",
        change: bool,
    ) -> None:
        before = self.model._default_manager.filter(pk=obj.pk).first()
        super().save_model(request, obj, form, change)
        if before and has_rows(obj) and before.timezone != obj.timezone:
            warn_of_zone(
                request,
                what=f"constituency {obj.contract_id}",
                before=before.timezone,
                after=obj.timezone,
                address=cells.list_url(Constituency, q=obj.contract_id),
            )
