"""What is refused before any page sees it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

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
