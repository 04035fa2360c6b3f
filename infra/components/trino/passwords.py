"""Trino's password file: who may log in."""

import hashlib
import hmac
from collections.abc import Mapping

_ITERATIONS = 20_000


def password_file(passwords: Mapping[str, str]) -> str:
    """The text of `password.db` for these users."""
    return "".join(f"{user}:{_entry(user, password)}\n" for user, password in passwords.items())


def _entry(user: str, password: str) -> str:
    """`iterations:salt:hash`, with SHA-1, the only digest that Trino 476 knows.

    The salt follows from the password, or every run of the program would be a change; the passwords are long
    and random, so that nobody can have a table for them.
    """
    salt = hmac.digest(password.encode(), user.encode(), "sha256")[:16]
    made = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, _ITERATIONS)
    return f"{_ITERATIONS}:{salt.hex()}:{made.hex()}"
