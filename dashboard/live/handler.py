"""Django's ASGI handler, without what a stream must not go through."""

import asyncio
from typing import Any

import structlog
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http.response import HttpResponseBase

logger = structlog.get_logger(__name__)

# Who takes none of what is written for so long is gone, whatever its connection says.
WRITE_SECONDS = 30.0


class LiveRequest(ASGIRequest):
    """A request to the live process, which has addresses of its own."""

    urlconf = "dashboard.live.urls"


class LiveHandler(ASGIHandler):
    """Answers by async views alone.

    No middleware: Django's is for pages, partly synchronous, and needs a database. No
    thread per request, which Django would keep while a stream is open.
    """

    request_class = LiveRequest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Only HTTP is answered here, not {scope['type']}.")
        await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        # What Django's own does with an empty setting.
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        answer: Any = self._get_response_async  # type: ignore[attr-defined]
        self._middleware_chain = convert_exception_to_response(answer)

    async def send_response(self, response: HttpResponseBase, send: Any) -> None:
        """Send a response to whoever takes it in time."""

        async def send_in_time(message: Any) -> None:
            async with asyncio.timeout(WRITE_SECONDS):
                await send(message)

        try:
            await super().send_response(response, send_in_time)
        except TimeoutError:
            logger.info("A listener takes nothing any more and is let go")
