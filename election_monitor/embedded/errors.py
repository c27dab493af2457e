"""The one error the embedded services raise."""


class EmbeddedServiceError(RuntimeError):
    """An embedded server cannot start or stop; the message says what to do."""
