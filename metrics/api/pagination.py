"""Pages that say of what moment they are, and how much of the feed had come."""

from typing import TYPE_CHECKING, Any

from rest_framework.settings import api_settings

if TYPE_CHECKING:
    from rest_framework.pagination import LimitOffsetPagination as DefaultPagination
else:
    DefaultPagination = api_settings.DEFAULT_PAGINATION_CLASS

COUNT = {"type": "integer", "minimum": 0, "example": 4}


class FiguresPagination(DefaultPagination):
    """The default pages; the view adds what `base.EnvelopeSerializer` describes."""

    example_path = "/api/v1/hourly-stats/"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe both, beside the rows."""
        described = super().get_paginated_response_schema(schema)
        described["required"] += ["as_of", "coverage", "is_simulated", "live_id"]
        described["properties"] |= {
            "as_of": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "Newest ledger time of the elections chosen.",
                "example": "2026-09-18T12:50:00Z",
            },
            "coverage": {
                "type": ["object", "null"],
                "description": "Hour files of the constituencies chosen, up to as_of; "
                "null where none is fed by hour files.",
                "required": ["received", "expected"],
                "properties": {"received": COUNT, "expected": COUNT},
            },
            "is_simulated": {
                "type": "boolean",
                "description": "All of it, or a part, is made by simulate_election.",
                "example": False,
            },
            "live_id": {
                "type": ["string", "null"],
                "description": "Where the live stream of the election chosen has to be "
                "resumed to miss nothing since.",
                "example": "1789714200000-0",
            },
        }
        return described
