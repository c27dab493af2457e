"""How the schema shows examples, and describes signing in."""

from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from knox.settings import knox_settings


def answer(value: Any, **options: Any) -> OpenApiExample:
    """Return an example of an answer."""
    return OpenApiExample(
        "Answer",
        value=value,
        response_only=True,
        # An example without shows nowhere but at 200 and 201, and not at 202.
        status_codes=["200", "201", "202"],
        **options,
    )


def question(value: Any) -> OpenApiExample:
    """Return an example of a body that is sent."""
    return OpenApiExample("Body", value=value, request_only=True)


def shown_as(*examples: OpenApiExample) -> Any:
    """Let every operation that uses a serializer show these examples."""
    return extend_schema_serializer(examples=[*examples])


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The token of a machine."""

    target_class = "elections.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Any:
        return build_bearer_security_scheme_object(
            header_name="AUTHORIZATION",
            token_prefix=knox_settings.AUTH_HEADER_PREFIX,
        )


class BrowserScheme(SessionScheme):  # type: ignore[no-untyped-call]
    """The session of a browser."""

    target_class = "elections.api.authentication.SessionAuthentication"
