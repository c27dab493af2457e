"""Keep what a function answers."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import orjson

from metrics.cache.keys import metrics_key
from metrics.cache.service import TTL_SECONDS, metrics_cache

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


def cached_metrics(
    *,
    tags: Callable[..., Sequence[str]] | Sequence[str],
    ttl: float = TTL_SECONDS,
) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
    """Keep what a function answers until one of its tags is invalidated, or `ttl` is over.

    For functions of plain arguments (text, numbers, times) that answer with what JSON
    holds: None, 0 and an empty list are answers like any other. `tags` may be a function
    of the same arguments. What the function raises is kept by nobody.
    """

    def decorate(
        function: Callable[Parameters, Answer],
    ) -> Callable[Parameters, Answer]:
        name = f"{function.__module__}.{function.__qualname__}"
        signature = inspect.signature(function)

        @wraps(function)
        def answer(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            fetched = metrics_cache().fetch(
                metrics_key(name, **bound.arguments),
                lambda: orjson.dumps(function(*args, **kwargs)),
                tags=tags(*args, **kwargs) if callable(tags) else tags,
                ttl=ttl,
            )
            kept: Any = orjson.loads(fetched.entry.content)
            return kept  # type: ignore[no-any-return]

        return answer

    return decorate
