"""Signing in and out by a browser, and who one is."""

from typing import Any

from django.conf import settings
from django.contrib import auth
from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elections.api import examples
from elections.api.authentication import SessionAuthentication
from elections.api.schema import answer, question, shown_as
from elections.api.strict import StrictSerializer
from elections.roles import Role, roles_of


@shown_as(question(examples.LOGIN))
class LoginSerializer(StrictSerializer):
    username = serializers.CharField(max_length=150)
    # Longer ones would only keep the hash busy.
    password = serializers.CharField(
        max_length=1000, trim_whitespace=False, write_only=True
    )


@shown_as(answer(examples.ME))
class MeSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(
        allow_null=True, help_text="Null: nobody has signed in."
    )
    is_staff = serializers.BooleanField(help_text="May enter the admin.")
    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=[role.value for role in Role]),
        help_text="With those that a role implies.",
    )
    public_read = serializers.BooleanField(
        help_text="Elections and their figures are for everybody."
    )


def me(user: Any) -> dict[str, Any]:
    """Return who `user` is."""
    roles = roles_of(user)
    return {
        "username": user.get_username() or None,
        "is_staff": user.is_staff,
        "roles": [role.value for role in Role if role in roles],
        "public_read": settings.API_PUBLIC_READ,
    }


@method_decorator(never_cache, name="dispatch")
class AccountView(APIView):
    """Open to everybody: who one is turns out here."""

    permission_classes = [AllowAny]


class MeView(AccountView):
    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Tell who one is and what one may; sets the cookie `csrftoken`.

        A browser sends its value as `X-CSRFToken` with everything that changes something,
        the login included.
        """
        get_token(request._request)
        return Response(MeSerializer(me(request.user)).data)


class LoginView(AccountView):
    @extend_schema(request=LoginSerializer, responses=MeSerializer)
    def post(self, request: Request) -> Response:
        """Open a session, and give the browser a new CSRF token."""
        # Only sessions are checked otherwise, and there is none yet: another site could
        # sign a visitor in as somebody else.
        SessionAuthentication().enforce_csrf(request)
        wanted = LoginSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        # django-axes counts what fails; when it locks, its middleware answers instead.
        user = auth.authenticate(request._request, **wanted.validated_data)
        if user is None:
            raise AuthenticationFailed(
                "Name or password is wrong.", "invalid_credentials"
            )
        auth.login(request._request, user)
        return Response(MeSerializer(me(user)).data)


class LogoutView(AccountView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the session; without one nothing happens. Tokens stay as they are."""
        auth.logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)
