"""How much may come at once, and how soon."""

from abc import abstractmethod
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from transactions.services import back_pressure

# A multipart body is a little longer than the file in it.
MULTIPART_BYTES = 1 << 20


class TooLarge(APIException):
    """The body is larger, or holds more rows, than is taken at once."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The body is too large."


class BackPressure(BaseThrottle):
    """Lets rows wait while what is counted from them lags behind."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        self._seconds = back_pressure.retry_after_seconds()
        return self._seconds is None

    def wait(self) -> float | None:
        """Return the seconds that the client is told to wait."""
        return self._seconds


class BoundedBody(APIView):
    """A view that refuses a body by its declared length, before any of it is read.

    Also before the session is looked at: its check of forged forms reads a form whole.
    """

    @abstractmethod
    def largest_body(self) -> int:
        """Return how many bytes are taken."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        most = self.largest_body()
        if declared_length(request.META) > most:
            raise TooLarge(f"Send at most {most:,} bytes.", "body_too_large")
        super().initial(request, *args, **kwargs)


def declared_length(headers: dict[str, Any]) -> int:
    """Return the length that a request declares; a body without any is not read."""
    text = str(headers.get("CONTENT_LENGTH") or "0")
    # No number has more digits: int() refuses thousands of them.
    return int(text[:20]) if text.isascii() and text.isdecimal() else 0
