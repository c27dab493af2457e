"""Filters that are typed or chosen from a list, for what is too long for a row of links."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from elections.models import Election

LONGEST_OPTION = 60


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a filter's form."""

    name: str
    label: str
    value: str = ""
    kind: str = "text"
    options: list[tuple[str, str]] = field(default_factory=list)


class FormFilter(admin.ListFilter):
    """A filter with a form of its own, which keeps all other filters."""

    template = "admin/form_filter.html"
    names: tuple[str, ...] = ()

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, Any],
        model: Any,
        model_admin: Any,
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.request = request
        for name in self.names:
            if value := params.pop(name, [""])[-1].strip():
                self.used_parameters[name] = value

    def value(self, name: str) -> str:
        """Return what was typed or chosen, an empty text where nothing was."""
        return str(self.used_parameters.get(name, ""))

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def has_output(self) -> bool:
        return True

    @abstractmethod
    def inputs(self) -> list[Input]:
        """Return the fields of the form."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        kept = [
            (name, value)
            for name, values in self.request.GET.lists()
            for value in values
            if name not in {*self.names, "p", "e"}
        ]
        yield {
            "inputs": self.inputs(),
            "hidden": kept,
            "is_set": bool(self.used_parameters),
            "reset": changelist.get_query_string(remove=list(self.names)),
        }


class ElectionFilter(FormFilter):
    """By election, of which there may be hundreds with long names."""

    title = "election"
    names = ("election",)
    # The way from the listed rows to their election.
    path = "election"

    def inputs(self) -> list[Input]:
        elections = Election.objects.order_by("name", "slug")
        options = [("", "All")] + [
            (slug, Truncator(name).chars(LONGEST_OPTION))
            for slug, name in elections.values_list("slug", "name")
        ]
        return [
            Input("election", "Election", self.value("election"), "select", options)
        ]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Any]"
    ) -> "QuerySet[Any] | None":
        slug = self.value("election")
        # By id: a join on the slug keeps the planner from the index on the election.
        election = Election.objects.filter(slug=slug).values_list("pk", flat=True)
        return queryset.filter(**{self.path: election.first()}) if slug else queryset


class ElectionOfConstituencyFilter(ElectionFilter):
    """By election, for rows that belong to a constituency."""

    path = "constituency__election"


class TextFilter(FormFilter):
    """By an exact text."""

    lookup = ""
    # Filters by numbers refuse other texts.
    is_number = False

    def inputs(self) -> list[Input]:
        (name,) = self.names
        return [Input(name, str(self.title).capitalize(), self.value(name))]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Any]"
    ) -> "QuerySet[Any] | None":
        text = self.value(self.names[0])
        if not text:
            return queryset
        if self.is_number and not (text.isdecimal() and len(text) < 19):
            raise IncorrectLookupParameters
        return queryset.filter(**{self.lookup: text})


class ConstituencyFilter(TextFilter):
    """By contract id."""

    title = "contract id"
    names = ("constituency",)
    lookup = "constituency__contract_id"


class PeriodFilter(FormFilter):
    """By a half-open period in UTC."""

    title = "period (UTC)"
    names = ("start", "end")
    column = "hour"

    def inputs(self) -> list[Input]:
        return [
            Input("start", "From", self.value("start"), "datetime-local"),
            Input("end", "Before", self.value("end"), "datetime-local"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Any]"
    ) -> "QuerySet[Any] | None":
        if start := self._instant("start"):
            queryset = queryset.filter(**{f"{self.column}__gte": start})
        if end := self._instant("end"):
            queryset = queryset.filter(**{f"{self.column}__lt": end})
        return queryset

    def _instant(self, name: str) -> datetime | None:
        if not (text := self.value(name)):
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise IncorrectLookupParameters from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
