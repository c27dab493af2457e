"""Bodies as strict as parameters: what nobody reads is an error."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses names that it does not know: a misspelt one would change what is meant."""

    def to_internal_value(self, data: Any) -> Any:
        names = data if isinstance(data, dict) else ()
        if unknown := [name for name in names if name not in self.fields]:
            known = ", ".join(sorted(self.fields))
            message = f"No such name here. Known: {known}."
            error = ErrorDetail(message, code="unknown_parameter")
            raise ValidationError({str(name)[:100]: [error] for name in unknown})
        return super().to_internal_value(data)
