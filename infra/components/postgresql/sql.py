"""The SQL that makes the platform's databases. Running it again changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DatabaseWish:
    """A database that some component needs, owned by a role of the same name."""

    name: str
    tables: str = ""
    """SQL that the owner runs in it; must be repeatable (`CREATE TABLE IF NOT EXISTS`)."""


def password_variable(database: str) -> str:
    """The environment variable that brings the owner's password."""
    return f"{database.upper()}_PASSWORD"


def script(wishes: Iterable[DatabaseWish]) -> str:
    """A psql script for all databases."""
    return "\n".join(["\\set ON_ERROR_STOP on", *(_database(wish) for wish in wishes)])


def _database(wish: DatabaseWish) -> str:
    name = wish.name
    lines = [
        f"\\getenv password {password_variable(name)}",
        f"SELECT 'CREATE ROLE \"{name}\"'"
        f" WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec",
        f"ALTER ROLE \"{name}\" LOGIN PASSWORD :'password';",
        f'SELECT \'CREATE DATABASE "{name}" OWNER "{name}"\''
        f" WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec",
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC;',
    ]
    if wish.tables:
        lines += [f"\\connect {name}", f'SET ROLE "{name}";', wish.tables.strip(), "\\connect postgres"]
    return "\n".join(lines) + "\n"
