"""What every operation of the API has in common, as its description tells it."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework.permissions import SAFE_METHODS, AllowAny

from elections.api.permissions import RolePermission

Described = dict[str, Any]


def _component(kind: str, name: str, described: Described) -> ResolvedComponent:
    return ResolvedComponent(  # type: ignore[no-untyped-call]
        name=name, type=kind, schema=described, object=name
    )


ERROR = _component(
    ResolvedComponent.SCHEMA,
    "Error",
    {
        "type": "object",
        "description": "What is wrong. Beside the code stands either `detail`, or each "
        "parameter that cannot be used, with its messages.",
        "properties": {
            "code": {"type": "string", "description": "Stable: programs go by it."},
            "detail": {"type": "string", "description": "For people."},
        },
        "required": ["code"],
        "additionalProperties": True,
    },
)
# What each status means, by its name, with an answer that has it.
MEANINGS: dict[int, tuple[str, str, Described]] = {
    400: (
        "NotUsable",
        "A parameter, or a part of the body, cannot be used; it is named.",
        {"limit": ["Use a whole number from 1 to 1000."], "code": "out_of_range"},
    ),
    401: (
        "NotSignedIn",
        "Sign in: nobody is known by this request, or what it shows is not taken.",
        {"detail": "The token is unknown or was revoked.", "code": "invalid_token"},
    ),
    403: (
        "NotAllowed",
        "The role does not suffice, or the CSRF token is missing.",
        {
            "detail": "You do not have permission to perform this action.",
            "code": "permission_denied",
        },
    ),
    404: (
        "NotFound",
        "There is no such thing.",
        {"detail": "Not found.", "code": "not_found"},
    ),
    406: (
        "NotOffered",
        "Nothing that `Accept` names is offered.",
        {
            "detail": "Could not satisfy the request Accept header.",
            "code": "not_acceptable",
        },
    ),
    409: (
        "NotInThisState",
        "It is in a state in which this cannot be done.",
        {
            "detail": "Only an update that is failed or dead can be retried.",
            "code": "not_given_up",
        },
    ),
    413: (
        "TooLarge",
        "More rows or bytes than are taken at once.",
        {
            "detail": "Send at most 10,000 rows at once; these are 10,001.",
            "code": "too_many_transactions",
        },
    ),
    415: (
        "NotReadable",
        "A body of this type is not read here.",
        {
            "detail": 'Unsupported media type "text/plain" in request.',
            "code": "unsupported_media_type",
        },
    ),
    429: (
        "TooMany",
        "Too many requests, too many failed logins, or figures that lag behind.",
        {
            "detail": "Request was throttled. Expected available in 17 seconds.",
            "code": "throttled",
        },
    ),
}
HEADERS = {
    401: {
        "WWW-Authenticate": {
            "description": "How to sign in.",
            "schema": {"type": "string", "example": "Token"},
        }
    },
    429: {
        "Retry-After": {
            "description": "Seconds to wait.",
            "schema": {"type": "integer", "minimum": 0},
        }
    },
}


def _error(status: int, description: str, example: Described) -> Described:
    content = {"schema": ERROR.ref, "examples": {"Error": {"value": example}}}
    return {
        "description": description,
        "headers": HEADERS.get(status, {}),
        "content": {"application/json": content},
    }


ERRORS = {
    status: _component("responses", name, _error(status, description, example))
    for status, (name, description, example) in MEANINGS.items()
}
ANYWHERE = (400, 401, 403, 406, 429)
WITH_BODY = (413, 415)

KEPT: list[ResolvedComponent] = [
    _component(
        "headers",
        "ETag",
        {
            "description": "Of this content: send it back as `If-None-Match`.",
            "schema": {
                "type": "string",
                "example": '"7bb958d9bffb7bbac798ae887bb41e40"',
            },
        },
    ),
    _component(
        "headers",
        "Cache-Control",
        {
            "description": "An answer may be stored, and has to be asked for again.",
            "schema": {"type": "string", "example": "private, no-cache"},
        },
    ),
    _component(
        "headers",
        "X-Cache",
        {
            "description": "Whether the answer was kept. Counts in it are as right: what "
            "was committed before is in them (of a whole election but for half a second).",
            "schema": {"type": "string", "enum": ["HIT", "MISS"]},
        },
    ),
]
KEPT_HEADERS = {header.name: header.ref for header in KEPT}
NOT_MODIFIED = _component(
    "responses",
    "NotModified",
    {
        "description": "The answer at hand still holds.",
        "headers": KEPT_HEADERS,
    },
)
IF_NONE_MATCH = _component(
    "parameters",
    "If-None-Match",
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of the answer at hand: 304 where it still holds.",
        "schema": {"type": "string"},
    },
)


class Schema(AutoSchema):
    """Adds to each operation who may call it, how it fails, and how answers are kept."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        responses: dict[str, Described] = operation["responses"]
        for status in self._errors(operation):
            responses[str(status)] = self._refer(ERRORS[status])
        if self.method == "GET" and hasattr(self.view, "answer_tags"):
            parameters = operation.setdefault("parameters", [])
            parameters.append(self._refer(IF_NONE_MATCH))
            headers = {each.name: self._refer(each) for each in KEPT}
            responses["200"].setdefault("headers", {}).update(headers)
            responses["304"] = self._refer(NOT_MODIFIED)
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def get_description(self) -> str:  # type: ignore[override]
        return "\n\n".join(filter(None, [super().get_description(), self._who()]))

    def get_auth(self) -> list[Any]:
        is_open = any(
            each.is_public and each.is_read(self.method) for each in self._roles()
        )
        return [*super().get_auth(), *([{}] if is_open else [])]

    def _who(self) -> str:
        """Return who may call the operation."""
        for each in self._roles():
            if not each.is_read(self.method):
                return f"Role: `{each.writes}`."
            public = "; everybody, where reading is public" if each.is_public else ""
            return f"Role: `{each.reads}`{public}."
        return ""

    def _roles(self) -> list[RolePermission]:
        permissions = self.view.get_permissions()
        return [each for each in permissions if isinstance(each, RolePermission)]

    def _errors(self, operation: Described) -> Iterator[int]:
        """Return the statuses of an operation that mean errors."""
        # What the view names itself.
        yield from [int(status) for status in operation["responses"] if status >= "400"]
        is_for_all = any(isinstance(e, AllowAny) for e in self.view.get_permissions())
        is_refused = not is_for_all or self.method not in SAFE_METHODS
        yield from (status for status in ANYWHERE if status != 403 or is_refused)
        if "{" in self.path:
            yield 404
        if "requestBody" in operation:
            yield from WITH_BODY

    def _refer(self, component: ResolvedComponent) -> Any:
        self.registry.register_on_missing(ERROR)
        self.registry.register_on_missing(component)
        return component.ref
