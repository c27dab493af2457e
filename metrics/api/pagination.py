"""Pages that say of what moment they are, and how much of the feed had come."""

from typing import TYPE_CHECKING, Any

from rest_framework.settings import api_settings

if TYPE_CHECKING:
    from rest_framework.pagination import LimitOffsetPagination as DefaultPagination
else:
    DefaultPagination = api_settings.DEFAULT_PAGINATION_CLASS

COUNT = {"type": "integer", "minimum": 0}


class FiguresPagination(DefaultPagination):
    """The default pages; the view adds `as_of` and `coverage`."""

    example_path = "/api/v1/hourly-stats/"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe both, beside the rows."""
        described = super().get_paginated_response_schema(schema)
        described["required"] += ["as_of", "coverage"]
        described["properties"] |= {
            "as_of": {
                "type": "string",
                "format": "date-time",
                "nullable": True,
                "description": "Newest ledger time of the elections chosen.",
            },
            "coverage": {
                "type": "object",
                "nullable": True,
                "description": "Hour files of the constituencies chosen, up to as_of; "
                "null where none is fed by hour files.",
                "required": ["received", "expected"],
                "properties": {"received": COUNT, "expected": COUNT},
            },
        }
        return described
