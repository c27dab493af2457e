"""How the schema describes signing in."""

from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from knox.settings import knox_settings


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
