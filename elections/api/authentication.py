"""Who calls: a machine by its token, or a browser by its session."""

import re
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication as DrfSession
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from elections.models import MachineToken

TOKEN = re.compile(rb"[0-9a-f]{64}")
# What rest_framework says where knox gives no code.
UNNAMED = AuthenticationFailed.default_code


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]
    """Reads `Authorization: Token …`; a token that is not taken is answered with 401."""

    def authenticate(self, request: Request) -> Any:
        try:
            return super().authenticate(request)
        except AuthenticationFailed as error:
            if error.get_codes() != UNNAMED:
                raise
            raise AuthenticationFailed(str(error.detail), "invalid_token") from error

    def authenticate_credentials(self, token: bytes) -> Any:
        """Return owner and token, found by its digest in one query.

        The library's own way costs one more, and removes tokens that have ended: staff
        would no longer see why a machine is refused.

        Raises:
            AuthenticationFailed: nobody has this token, it has ended, or its owner may
                not sign in.
        """
        if not TOKEN.fullmatch(token):
            raise AuthenticationFailed("This is no token.")
        tokens = MachineToken.objects.select_related("user")
        found = tokens.filter(digest=hash_token(token.decode("ascii"))).first()
        if found is None or not found.user.is_active:
            raise AuthenticationFailed("The token is unknown or was revoked.")
        if found.expiry is not None and found.expiry <= timezone.now():
            raise AuthenticationFailed("The token has ended.", "token_expired")
        return found.user, found


class SessionAuthentication(DrfSession):
    """The session of a browser; what it sends has to carry the CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        """Refuse a request that another site may have made the browser send.

        Raises:
            PermissionDenied: the token is missing or wrong.
        """
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise PermissionDenied(str(error.detail), "csrf_failed") from error
