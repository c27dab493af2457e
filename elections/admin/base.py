"""What all admin pages of the project share: who may edit, what is saved, how to page."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, TypeVar

from django import forms
from django.contrib.admin import ModelAdmin, ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

M = TypeVar("M", bound=Model)


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages through the first rows of a big table, and never counts the rest.

    A plain COUNT reads the whole table for every page. Nobody turns 200 pages: filters
    lead further.
    """

    MOST_ROWS = 10_000

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or one more than can be paged through."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[: self.MOST_ROWS + 1].count()
        return len(rows)

    @property
    def is_capped(self) -> bool:
        """Tell whether there are more rows than the pages show."""
        return self.count > self.MOST_ROWS


class Styled:
    """Brings the style sheet: long names are cut, numbers stand in columns."""

    class Media:
        css = {"all": ["elections/admin.css"]}


class BigTableAdmin(Styled, ModelAdmin[M]):
    """A list that stays fast with millions of rows."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changes = super().get_changelist_instance(request)
        # The search form tells the number of results only where these differ; the pages
        # tell it below the list, as far as it is counted.
        changes.full_result_count = changes.result_count
        return changes


class ReadOnlyAdmin(BigTableAdmin[M]):
    """Rows that services write: nobody adds, edits or deletes them by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


class SaveChangedFieldsOnly(Styled, ModelAdmin[M]):
    """Saves the fields that were edited and no others.

    A plain save writes the whole row back as it was when the form was opened, and with it
    old totals over those that loaders have written meanwhile.
    """

    def derive(self, obj: M, form: "forms.ModelForm[M]") -> Iterable[str]:
        """Set what follows from the edited fields; return the names of what was set."""
        return ()

    def save_model(
        self, request: Any, obj: M, form: "forms.ModelForm[M]", change: bool
    ) -> None:
        derived = self.derive(obj, form)
        if not change:
            obj.save(force_insert=True)
            return
        columns = {field.name for field in obj._meta.concrete_fields}
        changed = columns.intersection(form.changed_data).union(derived)
        if changed:
            obj.save(update_fields=changed)


class DeletesOnlyWhatIsEmpty(ModelAdmin[M]):
    """Says what stands in the way of deleting an object, in a sentence each.

    Django would list every protected row: 5,103 constituencies of an election.
    """

    @abstractmethod
    def obstacles(self, obj: M) -> list[str]:
        """Return what belongs to `obj` and must not be deleted with it."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        obstacles = [sentence for obj in objs for sentence in self.obstacles(obj)]
        if obstacles:
            return [str(obj) for obj in objs], {}, set(), obstacles
        return super().get_deleted_objects(objs, request)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions
