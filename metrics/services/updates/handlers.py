"""Who makes the updates of each kind of scope."""

from collections.abc import Callable, Sequence
from datetime import datetime

from elections.clock import Clock
from metrics.services.lease import kept
from metrics.services.updates.claims import ClaimedUpdate, refuse_lost, renew

# Called inside a database transaction that also marks its updates as done: both or
# neither.
Handler = Callable[[ClaimedUpdate, datetime], None]
HandlerOfMany = Callable[[Sequence[ClaimedUpdate], datetime], None]
# Called outside any transaction, for what takes long to compute, with a lease that is
# renewed meanwhile; returns what writes the result, which is then called as a handler is.
Preparation = Callable[[ClaimedUpdate, datetime], Handler]
_handlers: dict[str, Handler] = {}
_preparations: dict[str, Preparation] = {}
_handlers_of_many: dict[str, HandlerOfMany] = {}
# Kinds that keep nobody waiting who was claimed with them.
_last: set[str] = set()


class UnknownScope(ValueError):
    """No handler is registered for this kind of scope."""


class NotNow(Exception):
    """Another worker is at it, or at something like it."""

    def __init__(self, reason: str, *, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


def register(kind: str, handler: Handler, *, takes_long: bool = False) -> None:
    """Let `handler` do the updates whose scope begins with `kind` and a colon.

    What takes long comes after the others that were claimed with it.
    """
    _handlers[kind] = handler
    if takes_long:
        _last.add(kind)


def register_prepared(kind: str, prepare: Preparation) -> None:
    """As `register`, for work that is computed first and written in a short transaction."""
    _preparations[kind] = prepare
    _last.add(kind)


def register_for_many(kind: str, handler: HandlerOfMany) -> None:
    """As `register`, for work that is much cheaper for many at once than one by one.

    It is also called with a single update: after many together failed, each is done
    alone, so that the fault of one stays with it.
    """
    _handlers_of_many[kind] = handler


def takes_long(update: ClaimedUpdate) -> bool:
    """Tell whether an update is of a kind that keeps nobody waiting."""
    return update.kind in _last


def groups(claimed: Sequence[ClaimedUpdate]) -> list[list[ClaimedUpdate]]:
    """Return what is made together: the most urgent first, what takes long last."""
    together: dict[str | int, list[ClaimedUpdate]] = {}
    for update in claimed:
        group = update.kind if update.kind in _handlers_of_many else update.id
        together.setdefault(group, []).append(update)
    return sorted(together.values(), key=lambda group: takes_long(group[0]))


def handler_of(updates: Sequence[ClaimedUpdate], clock: Clock) -> HandlerOfMany:
    """Return what makes these updates; what takes long to compute is computed here."""
    kind = updates[0].kind
    if kind in _handlers_of_many:
        return _handlers_of_many[kind]
    if kind in _preparations:
        refuse_lost(updates[0])
        # Whoever took it meanwhile would lose it in the same way: it would never be done.
        with kept(lambda: renew(updates[0], clock())):
            return _each(_preparations[kind](updates[0], clock()))
    if kind in _handlers:
        return _each(_handlers[kind])
    raise UnknownScope(f"Nobody knows how to update “{updates[0].scope}”.")


def _each(handler: Handler) -> HandlerOfMany:
    def handle(updates: Sequence[ClaimedUpdate], now: datetime) -> None:
        for update in updates:
            handler(update, now)

    return handle
