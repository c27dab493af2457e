"""Stop asking a service that does not answer, for a while."""

import time


class Breaker:
    """Opens when told of a failure, and closes by itself after a pause.

    Without it everybody who needs the service would wait for the same time-out, one after
    the other.
    """

    def __init__(self, *, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Tell whether the service is not to be asked now."""
        return time.monotonic() < self._open_until

    def open(self) -> None:
        """Leave the service alone for the pause."""
        self._open_until = time.monotonic() + self._pause_seconds
