"""What all endpoints share: paging, filters, ordering, errors.

The apps below never import this module: the settings name its classes as defaults.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db.models import F, Model, QuerySet
from django.db.models.expressions import OrderBy
from django.http import Http404, QueryDict
from django_filters.rest_framework import (  # type: ignore[import-untyped]
    DjangoFilterBackend,
)
from drf_orjson_renderer.parsers import ORJSONParser
from rest_framework.exceptions import (
    APIException,
    ErrorDetail,
    NotFound,
    PermissionDenied,
    ValidationError,
)
from rest_framework.filters import OrderingFilter
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.status import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from rest_framework.utils.urls import remove_query_param, replace_query_param

if TYPE_CHECKING:
    # Its classes are made from the settings, which name classes of this module.
    from rest_framework.views import APIView

# Real names have up to 448 bytes; nothing anybody looks for is longer.
PARAMETER_LENGTH = 500
# What PostgreSQL takes as OFFSET.
LARGEST_OFFSET = 2**63 - 1
WHOLE_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


def invalid(parameter: str, message: str, code: str) -> ValidationError:
    """Return the error 400 that names `parameter`."""
    return ValidationError({parameter: [ErrorDetail(message, code=code)]})


class BodyTooLarge(APIException):
    """The body is longer than anything that is sent here."""

    status_code = HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"


class JsonParser(ORJSONParser):  # type: ignore[misc]
    """Reads JSON of a few megabytes at most. Views that take more have limits of their own."""

    def parse(
        self, stream: Any, media_type: Any = None, parser_context: Any = None
    ) -> Any:
        """Return what a body says.

        Raises:
            BodyTooLarge: it says itself how long it is, and that is too long.
        """
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        stated = str(parser_context["request"].META.get("CONTENT_LENGTH") or "0")
        # No number of bytes has more digits. One that states none is not read at all.
        if stated.isdecimal() and int(stated[:20]) > most:
            raise BodyTooLarge(f"Send at most {most:,} bytes.")
        return super().parse(stream, media_type, parser_context)


class ContentNegotiation(DefaultContentNegotiation):
    """A format that the address names holds, whatever the client says it accepts."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """Return the renderers of a format.

        Raises:
            ValidationError: there is none.
        """
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            choices = ", ".join(sorted({renderer.format for renderer in renderers}))
            message = f"No such format here. Choose from {choices}."
            raise invalid(
                str(self.settings.URL_FORMAT_OVERRIDE), message, "invalid_choice"
            )
        return found

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        """Return the renderer and the type of what it writes."""
        stated = request.query_params.get(str(self.settings.URL_FORMAT_OVERRIDE))
        if not stated:
            return super().select_renderer(request, renderers, format_suffix)
        [renderer, *_] = self.filter_renderers(renderers, stated)
        return renderer, renderer.media_type


class Pagination(LimitOffsetPagination):
    """Pages by limit and offset; anything out of range is an error, never a guess."""

    default_limit = 100
    max_limit = 1000
    limit_query_description = "Rows per page, 1 to 1000."
    offset_query_description = "Rows to skip."
    example_path = "/api/v1/constituencies/"
    # Set by `paginate_queryset`.
    limit: int
    offset: int
    count: int
    request: Request

    def get_limit(self, request: Request) -> int:
        """Return the rows of a page."""
        return _whole_number(
            request.query_params,
            self.limit_query_param,
            default=self.default_limit,
            smallest=1,
            largest=self.max_limit,
        )

    def get_offset(self, request: Request) -> int:
        """Return the rows to skip."""
        return _whole_number(
            request.query_params,
            self.offset_query_param,
            default=0,
            smallest=0,
            largest=LARGEST_OFFSET,
        )

    def get_next_link(self) -> str | None:
        """Return the path and query of the next page."""
        following = self.offset + self.limit
        return self._link(following) if following < self.count else None

    def get_previous_link(self) -> str | None:
        """Return the path and query of the page before."""
        if self.offset <= 0:
            return None
        # Also leads back into the list from beyond its end.
        return self._link(max(0, min(self.offset, self.count) - self.limit))

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        """Describe both parameters with their limits."""
        limit, offset = super().get_schema_operation_parameters(view)
        limit["schema"] |= {
            "minimum": 1,
            "maximum": self.max_limit,
            "default": self.default_limit,
        }
        offset["schema"] |= {"minimum": 0, "default": 0}
        return [limit, offset]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe the links as what they are: relative."""
        described = super().get_paginated_response_schema(schema)
        for name, offset in (("next", 400), ("previous", 200)):
            link = described["properties"][name]
            del link["nullable"]
            link["type"] = ["string", "null"]
            link["format"] = "uri-reference"
            link["example"] = f"{self.example_path}?limit=100&offset={offset}"
        return described

    def _link(self, offset: int) -> str:
        path = self.request.get_full_path()
        path = replace_query_param(path, self.limit_query_param, self.limit)
        if offset == 0:
            return remove_query_param(path, self.offset_query_param)
        return replace_query_param(path, self.offset_query_param, offset)


def _whole_number(
    parameters: QueryDict, name: str, *, default: int, smallest: int, largest: int
) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    if not WHOLE_NUMBER.fullmatch(text) or not smallest <= int(text) <= largest:
        message = f"Use a whole number from {smallest} to {largest}."
        raise invalid(name, message, "out_of_range")
    return int(text)


class FilterBackend(DjangoFilterBackend):  # type: ignore[misc]
    """Filters by the view's filter set; a parameter that nobody reads is an error.

    A misspelt filter would otherwise answer with everything. The filter set stays at
    the view as `bound_filterset`.
    """

    def filter_queryset(
        self, request: Request, queryset: "QuerySet[Model]", view: Any
    ) -> "QuerySet[Model]":
        is_list = not view.detail
        filterset = self.get_filterset(request, queryset, view) if is_list else None
        lengths = dict.fromkeys(_shared_parameters(view), PARAMETER_LENGTH)
        if filterset:
            lengths |= {
                name: each.extra.get("max_length", PARAMETER_LENGTH)
                for name, each in filterset.filters.items()
            }
        refuse_unusable(request.query_params, lengths)
        if filterset is None:
            return queryset
        filtered: QuerySet[Model] = super().filter_queryset(request, queryset, view)
        return filtered

    def get_filterset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Return the filter set of this request, the same one at every call."""
        if not hasattr(view, "bound_filterset"):
            view.bound_filterset = super().get_filterset(request, queryset, view)
        return view.bound_filterset


def refuse_unusable(parameters: QueryDict, known: Mapping[str, int]) -> None:
    """Refuse parameters that are unknown, repeated, too long or hold a NUL.

    `known` says how long each may be.

    Raises:
        ValidationError: names every one of them.
    """
    errors: dict[str, list[ErrorDetail]] = {}
    for name, values in parameters.lists():
        if (error := _fault(name, values, known)) is not None:
            errors[name[:PARAMETER_LENGTH]] = [error]
    if errors:
        raise ValidationError(errors)


def _fault(
    name: str, values: Sequence[str], known: Mapping[str, int]
) -> ErrorDetail | None:
    if name not in known:
        choices = ", ".join(sorted(known)) or "none"
        message = f"No such parameter here. Known: {choices}."
        return ErrorDetail(message, code="unknown_parameter")
    if len(values) > 1:
        # The last one would hold, and nobody would be told of the others.
        return ErrorDetail("State it once.", code="repeated")
    if any("\0" in value for value in values):
        message = "Null characters are not allowed."
        return ErrorDetail(message, code="null_characters_not_allowed")
    if any(len(value) > known[name] for value in values):
        message = f"Use at most {known[name]} characters."
        return ErrorDetail(message, code="max_length")
    return None


def _shared_parameters(view: Any) -> set[str]:
    """Return what the paginator and the other backends of `view` read."""
    known = {str(api_settings.URL_FORMAT_OVERRIDE)}
    if view.detail:
        return known
    readers = [backend() for backend in view.filter_backends] + [view.paginator]
    for reader in readers:
        describe = getattr(reader, "get_schema_operation_parameters", None)
        known |= {each["name"] for each in describe(view)} if describe else set()
    return known


class StrictOrderingFilter(OrderingFilter):
    """Sorts by the fields that a view offers, and always ends in something unique.

    A view names them in `ordering_fields`, public name to ORM path, and in `ordering`
    the paths, together unique, that come last. Rows without a value come last, too.
    """

    def filter_queryset(
        self, request: Request, queryset: "QuerySet[Any]", view: Any
    ) -> "QuerySet[Any]":
        offered: Mapping[str, str] = getattr(view, "ordering_fields", None) or {}
        if view.detail or not offered:
            return queryset
        stated = request.query_params.get(self.ordering_param, "")
        terms = [term.strip() for term in stated.split(",") if term.strip()]
        self._refuse_unknown(terms, offered)
        wanted = [_order(queryset, offered, term) for term in terms]
        return queryset.order_by(*wanted, *view.ordering) if wanted else queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameter, where the view offers a field at all."""
        offered = getattr(view, "ordering_fields", None) or {}
        if not offered:
            return []
        names = [sign + name for name in offered for sign in ("", "-")]
        return [
            {
                "name": self.ordering_param,
                "in": "query",
                "required": False,
                "description": "Fields to sort by; `-` sorts downwards.",
                "explode": False,
                "style": "form",
                "schema": {"type": "array", "items": {"type": "string", "enum": names}},
            }
        ]

    def _refuse_unknown(self, terms: list[str], offered: Iterable[str]) -> None:
        unknown = [term for term in terms if term.removeprefix("-") not in offered]
        if unknown:
            choices = ", ".join(offered)
            message = f"Unknown: {', '.join(unknown)}. Choose from {choices}."
            raise invalid(self.ordering_param, message, "invalid_choice")


def _order(queryset: "QuerySet[Any]", offered: Mapping[str, str], term: str) -> OrderBy:
    path = offered[term.removeprefix("-")]
    if not term.startswith("-"):
        return F(path).asc()
    # Asked of every column, this would keep the database from reading along an index.
    return F(path).desc(nulls_last=_is_nullable(queryset, path) or None)


def _is_nullable(queryset: "QuerySet[Any]", path: str) -> bool:
    if (computed := queryset.query.annotations.get(path)) is not None:
        return bool(computed.output_field.null)
    model: Any = queryset.model
    for name in path.split("__"):
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            return False
        # What the database generates is null by its output field.
        if getattr(field, "output_field", field).null:
            return True
        model = field.related_model
    return False


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer in DRF's shape, with a stable `code` beside the message.

    What is not anticipated goes up to Django, whose handlers answer JSON below /api/.
    """
    if isinstance(error, Http404):
        error = NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        error = PermissionDenied()
    if not isinstance(error, APIException):
        return None
    return Response(
        _body(error) | {"code": _code(error)},
        status=error.status_code,
        headers=_headers(error),
    )


def _body(error: APIException) -> dict[str, Any]:
    detail = _plain(error.detail)
    if isinstance(detail, dict):
        return detail
    if isinstance(detail, list):
        return {str(api_settings.NON_FIELD_ERRORS_KEY): detail}
    return {"detail": detail}


def _plain(detail: Any) -> Any:
    """Return names and messages as plain strings, which every renderer can write."""
    if isinstance(detail, dict):
        # Of a list the names are numbers.
        return {str(name): _plain(messages) for name, messages in detail.items()}
    if isinstance(detail, list):
        return [_plain(message) for message in detail]
    return str(detail)


def _code(error: APIException) -> str:
    """Return the one code of all messages, or the general one of their class."""
    codes = set(_flat(error.get_codes()))
    return codes.pop() if len(codes) == 1 else error.default_code


def _flat(codes: Any) -> Iterable[str]:
    if isinstance(codes, str):
        return [codes]
    parts = codes.values() if isinstance(codes, dict) else codes
    return [code for part in parts for code in _flat(part)]


def _headers(error: APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    return headers
