"""Bulk import and export of the registry: regions, elections, constituencies."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

from csp.decorators import csp_update
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.dateparse import parse_datetime
from import_export.admin import ImportExportMixin
from import_export.fields import Field
from import_export.formats.base_formats import CSV, JSON, XLSX
from import_export.instance_loaders import CachedInstanceLoader
from import_export.resources import ModelResource
from import_export.widgets import Widget

from elections.locks import lock_constituencies
from elections.models import (
    Constituency,
    Election,
    Region,
    RegisterSource,
    validate_instant,
)
from elections.spreadsheets import as_published, neutralised

# Longer numbers do not fit the column.
MOST_DIGITS = 10
STAYS_IN_ITS_ELECTION = (
    "The constituency has rows in the ledger, so it stays in its election."
)


class ReferenceWidget(Widget):  # type: ignore[misc]
    """An object named by its public id; all are read once per import."""

    def __init__(self, model: type[Model], key: str) -> None:
        super().__init__()
        self.model, self.key = model, key
        self._known: dict[str, Model] | None = None

    def clean(self, value: Any, row: Any = None, **_: object) -> Model | None:
        text = str(value if value is not None else "").strip()
        if not text:
            return None
        if self._known is None:
            objects = self.model._default_manager.all()
            self._known = {getattr(obj, self.key): obj for obj in objects}
        if text not in self._known:
            name = self.model._meta.verbose_name
            raise ValueError(f"No {name} has the {self.key} “{text}”.")
        return self._known[text]

    def render(self, value: Any, obj: Any = None, **_: object) -> str:
        return str(getattr(value, self.key)) if value else ""


class InstantWidget(Widget):  # type: ignore[misc]
    """A time with its offset from UTC."""

    def clean(self, value: Any, row: Any = None, **_: object) -> datetime | None:
        if not value:
            return None
        try:
            instant = parse_datetime(str(value).strip())
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            raise ValueError(
                f"“{value}” is no time with an offset, such as 2026-09-18T08:00+03:00."
            )
        try:
            validate_instant(instant)
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from error
        return instant

    def render(self, value: Any, obj: Any = None, **_: object) -> str:
        return value.isoformat() if value else ""


class CountWidget(Widget):  # type: ignore[misc]
    """A whole number that is not negative, or nothing."""

    def clean(self, value: Any, row: Any = None, **_: object) -> int | None:
        text = str(value if value is not None else "").strip()
        if not text:
            return None
        if not (text.isdecimal() and len(text) < MOST_DIGITS):
            raise ValueError(f"“{text}” must be a whole number, such as 1200.")
        return int(text)

    def render(self, value: Any, obj: Any = None, **_: object) -> str:
        return "" if value is None else str(value)


class RegistryResource(ModelResource):  # type: ignore[misc]
    """Writes the columns that a file has, and nothing else of a row."""

    class Meta:
        abstract = True
        skip_unchanged = True
        report_skipped = False
        use_transactions = True
        clean_model_instances = True
        instance_loader_class = CachedInstanceLoader

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        known = [field.column_name for field in self.get_import_fields()]
        if unknown := [str(name) for name in dataset.headers if name not in known]:
            raise ValueError(
                f"Unknown columns: {', '.join(unknown)}. Known are: {', '.join(known)}."
            )

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        for column, value in row.items():
            if isinstance(value, str):
                row[column] = as_published(value)

    def before_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        fields = self.get_import_fields()
        columns = {field.attribute for field in fields if field.column_name in row}
        self._columns = columns.union(self.derive(instance, columns))

    def do_instance_save(self, instance: Any, is_create: bool) -> None:
        if is_create:
            instance.save(force_insert=True)
        else:
            instance.save(update_fields=self._columns)

    def derive(self, instance: Any, columns: set[str]) -> Iterable[str]:
        """Set what follows from the imported columns; return the names of that."""
        return ()

    def export_field(self, field: Any, instance: Any, **kwargs: Any) -> Any:
        cell = super().export_field(field, instance, **kwargs)
        return neutralised(cell) if isinstance(cell, str) else cell


class RegionResource(RegistryResource):
    class Meta(RegistryResource.Meta):
        model = Region
        import_id_fields = ["code"]
        fields = ["code", "name", "timezone"]


class ElectionResource(RegistryResource):
    starts_at = Field("starts_at", "starts_at", widget=InstantWidget())
    ends_at = Field("ends_at", "ends_at", widget=InstantWidget())

    class Meta(RegistryResource.Meta):
        model = Election
        import_id_fields = ["slug"]
        fields = [
            "slug",
            "name",
            "kind",
            "timezone",
            "export_timezone",
            "starts_at",
            "ends_at",
            "status_override",
            "description",
        ]

    def after_init_instance(
        self, instance: Election, new: bool, row: Any, **kwargs: Any
    ) -> None:
        self._window = (instance.starts_at, instance.ends_at)

    def derive(self, instance: Election, columns: set[str]) -> Iterable[str]:
        if (instance.starts_at, instance.ends_at) == self._window:
            return ()
        return own_window(instance)


class ConstituencyResource(RegistryResource):
    election = Field("election", "election", widget=ReferenceWidget(Election, "slug"))
    region = Field("region", "region", widget=ReferenceWidget(Region, "code"))
    stated_registered_voters = Field(
        "stated_registered_voters", "stated_registered_voters", widget=CountWidget()
    )

    class Meta(RegistryResource.Meta):
        model = Constituency
        import_id_fields = ["contract_id"]
        fields = [
            "contract_id",
            "election",
            "region",
            "district",
            "ballot_kind",
            "name",
            "stated_registered_voters",
            "status",
        ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Fields belong to the class, what they have looked up to one import.
        for name, model, key in (
            ("election", Election, "slug"),
            ("region", Region, "code"),
        ):
            self.fields[name].widget = ReferenceWidget(model, key)

    def get_queryset(self) -> Any:
        return Constituency.objects.select_related("election", "region")

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        super().before_import(dataset, **kwargs)
        if "contract_id" in dataset.headers:
            known = Constituency.objects.filter(contract_id__in=dataset["contract_id"])
            lock_constituencies(known.values_list("pk", flat=True))

    def after_init_instance(
        self, instance: Constituency, new: bool, row: Any, **kwargs: Any
    ) -> None:
        self._election_id = None if new else instance.election_id
        self._stated = instance.stated_registered_voters

    def validate_instance(
        self,
        instance: Constituency,
        import_validation_errors: dict[str, Any] | None = None,
        validate_unique: bool = True,
    ) -> None:
        errors = import_validation_errors or {}
        is_moved = self._election_id not in {None, instance.election_id}
        if is_moved and has_rows(instance):
            errors["election"] = ValidationError(STAYS_IN_ITS_ELECTION)
        super().validate_instance(instance, errors, validate_unique)

    def derive(self, instance: Constituency, columns: set[str]) -> Iterable[str]:
        if instance.stated_registered_voters == self._stated:
            return ()
        instance.stated_registered_voters_source = RegisterSource.CATALOGUE
        return ["stated_registered_voters_source"]


def has_rows(constituency: Constituency) -> bool:
    """Tell whether the ledger ever took a row of this constituency."""
    return bool(constituency.transaction_count) or (
        constituency.last_transaction_at is not None
    )


def own_window(election: Election) -> Iterable[str]:
    """Note that staff stated the times; with both empty the ledger tells them again."""
    is_stated = election.starts_at or election.ends_at
    election.window_source = "staff" if is_stated else "ledger"
    return ["window_source"]


# The pages of import_export write style attributes: the form of the export, and what
# changes in a cell on the trial of an import. "Select all" of the export has a handler in an
# attribute, which is let in by its digest.
SELECT_ALL = b64encode(sha256(b"onSelectToggleChange(event)").digest()).decode()
inline_styles = csp_update({"style-src": ["'unsafe-inline'"]})
of_export = csp_update(
    {
        "style-src": ["'unsafe-inline'"],
        "script-src-attr": ["'unsafe-hashes'", f"'sha256-{SELECT_ALL}'"],
    }
)


class ExchangeAdmin(ImportExportMixin):  # type: ignore[misc]
    """Import and export buttons, for those who may edit and see the rows."""

    skip_export_form = False
    import_action = inline_styles(ImportExportMixin.import_action)
    export_action = of_export(ImportExportMixin.export_action)

    def get_import_formats(self) -> list[Any]:
        return _formats()

    def get_export_formats(self) -> list[Any]:
        return _formats()

    def has_import_permission(self, request: HttpRequest) -> bool:
        allowed = self.has_add_permission(request) and self.has_change_permission(
            request
        )
        return bool(allowed)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_or_change_permission(request))

    def get_valid_export_item_pks(self, request: HttpRequest) -> list[int]:
        # Rows are exported as a list is filtered, never one by one.
        return []

    def process_result(self, result: Any, request: HttpRequest) -> HttpResponseBase:
        if result.has_errors() or result.has_validation_errors():
            # The rows changed between the trial and its confirmation.
            messages.error(request, "Nothing was imported: " + _first_error(result))
            result.rows.clear()
            result.totals.clear()
            return self.redirect_to_list()
        self.after_bulk_import(request, result)
        response: HttpResponseBase = super().process_result(result, request)
        return response

    def get_import_data_kwargs(self, **kwargs: Any) -> Any:
        options = super().get_import_data_kwargs(**kwargs)
        return {**options, "rollback_on_validation_errors": True}

    def redirect_to_list(self) -> HttpResponseBase:
        """Return to the list of the model."""
        options = self.model._meta
        return redirect(f"admin:{options.app_label}_{options.model_name}_changelist")

    def after_bulk_import(self, request: HttpRequest, result: Any) -> None:
        """Tell staff what follows from a bulk import."""


def _formats() -> list[Any]:
    """Return CSV, and Excel where its library is installed, else JSON."""
    return [CSV, XLSX if XLSX.is_available() else JSON]


def _first_error(result: Any) -> str:
    for row in result.invalid_rows:
        return f"row {row.number}: {'; '.join(row.error.messages)}"
    for number, errors in result.row_errors():
        return f"row {number}: {errors[0].error}"
    return "; ".join(str(error.error) for error in result.base_errors)
