"""What is refused before any page sees it, and who is remembered for what they change."""

from collections.abc import Callable

import pghistory
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from election_monitor import pages

GetResponse = Callable[[HttpRequest], HttpResponse]


def refuse_nul(get_response: GetResponse) -> GetResponse:
    """Refuse a NUL in the query of a page: PostgreSQL cannot hold one.

    The API names the parameter itself.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        if "%00" in query and not request.path.startswith("/api/"):
            return pages.bad_request(request, ValueError("NUL in the query"))
        return get_response(request)

    return middleware


def remember_who(get_response: GetResponse) -> GetResponse:
    """Let the history of what is edited in the admin name who did it.

    The admin alone: rows that are posted would carry the name through every statement
    of the loader, which writes no history.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        is_edit = request.method == "POST"
        if not (is_edit and request.path.startswith(reverse("admin:index"))):
            return get_response(request)
        user = request.user
        with pghistory.context(
            user=user.pk, username=user.get_username(), url=request.path
        ):
            return get_response(request)

    return middleware
