"""Databases beside the first one, each an empty or a full copy of another."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection
from psycopg import sql


def create(name: str, *, template: str) -> None:
    """Create a database as a copy of `template`, to which nobody may be connected."""
    connection.close()
    with _administrator() as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


def drop(name: str) -> None:
    """Remove a database and whoever is connected to it."""
    with _administrator() as admin:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        admin.execute(statement.format(sql.Identifier(name)))


@contextmanager
def temporary(name: str, *, template: str) -> Iterator[None]:
    """Create a database, let Django work in it, and remove it."""
    create(name, template=template)
    try:
        with inside(name):
            yield
    finally:
        drop(name)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let Django's connection lead to another database for a while."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        connection.ensure_connection()
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def vacuum() -> None:
    """Bring statistics and visibility to where autovacuum keeps them."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def _administrator() -> "psycopg.Connection[tuple[object, ...]]":
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("host", "user") if name in parameters}
    return psycopg.connect(**wanted, dbname="postgres", autocommit=True)
