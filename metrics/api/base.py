"""What all answers with figures have in common: their parameters and their envelope."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from elections.api.schema import answer
from transactions.queries import Coverage

DEFAULTS: Any = api_settings.DEFAULT_FILTER_BACKENDS
# `coverage` is not known of what a search finds.
WITHOUT_SEARCH = [backend for backend in DEFAULTS if backend is not SearchFilter]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Of what moment figures are, how much of the feed had come, whether they are real."""

    as_of: datetime | None
    coverage: Coverage | None
    # All of it, or a part.
    is_simulated: bool
    # Of the election's live stream, read before the figures.
    live_id: str | None = None


# Parameters as their filters cleaned them; and figures with their provenance.
Asked = dict[str, Any]
Told = tuple[Mapping[str, Any], Provenance]


class CoverageSerializer(serializers.Serializer[Any]):
    received = serializers.IntegerField(min_value=0)
    expected = serializers.IntegerField(min_value=0)


class ProvenanceSerializer(serializers.Serializer[Any]):
    """Where figures come from."""

    as_of = serializers.DateTimeField(
        allow_null=True, help_text="Newest ledger time counted; null before the first."
    )
    coverage = CoverageSerializer(
        allow_null=True,
        help_text="Hour files received and expected up to `as_of`; null where nothing "
        "is fed by hour files.",
    )
    is_simulated = serializers.BooleanField(
        help_text="All of it, or a part, is made by simulate_election."
    )


class EnvelopeSerializer(ProvenanceSerializer):
    """What every answer with figures carries: added here, it is in all of them."""

    live_id = serializers.CharField(
        allow_null=True,
        help_text="Where the live stream has to be resumed (`after`) to miss nothing since; "
        "null where there is none, or not only one.",
    )


class FiguresView(GenericAPIView[Any]):
    """A view that answers GET with figures of one thing.

    Its filter set names the parameters, `figures` finds what they ask for, and its
    serializer gives that a shape.
    """

    # The filter backend reads the parameters of lists only, and refuses all others.
    detail = False
    filter_backends = WITHOUT_SEARCH
    pagination_class = None
    bound_filterset: Any
    live_id: str | None = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        # Also binds the filter set, or refuses the parameters.
        self.filter_queryset(self.get_queryset())
        figures, provenance = self.figures(self.bound_filterset.form.cleaned_data)
        source = asdict(replace(provenance, live_id=self.live_id))
        return Response(self.get_serializer({**figures, **source}).data)

    @abstractmethod
    def figures(self, asked: Asked) -> Told:
        """Return what the serializer of the view shapes, and where it comes from."""


def envelope(provenance: Provenance) -> dict[str, Any]:
    """Return what a page of rows carries beside them."""
    return dict(EnvelopeSerializer(asdict(provenance)).data)


def in_all(parts: Iterable[Provenance]) -> Provenance:
    """Return the provenance of several figures in one answer."""
    every = list(parts)
    known = [part.coverage for part in every if part.coverage is not None]
    return Provenance(
        as_of=max((part.as_of for part in every if part.as_of), default=None),
        coverage=sum(known, start=Coverage(0, 0)) if known else None,
        is_simulated=any(part.is_simulated for part in every),
    )


def described(method: str = "get", *, example: Any, **options: Any) -> Any:
    """Describe a method of a view in the schema, with an example of its answer."""
    described = extend_schema(examples=[answer(example)], filters=True, **options)
    return extend_schema_view(**{method: described})
