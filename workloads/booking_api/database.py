"""The service's connections to PostgreSQL, used within a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

Result = TypeVar("Result")
Connection = psycopg.AsyncConnection[dict[str, Any]]


class DatabaseAway(Exception):
    """The database did not do what it was asked for in time. Callers read this, and not the cause."""


class Database:
    """A pool of connections; each statement is a transaction of its own unless `work` opens one."""

    def __init__(self, url: str, connections: int, seconds: float) -> None:
        self.seconds = seconds
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=connections,
            timeout=seconds,
            open=False,
            connection_class=Connection,
            kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": 5},
        )

    async def open(self) -> None:
        """Begin to connect; who comes before it is done waits."""
        await self.pool.open()

    async def close(self) -> None:
        await self.pool.close()

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """What `work` makes of a connection; it must be repeatable.

        A connection that was lost meanwhile shows only when it is used: then the others are looked at, and
        the work is tried once more.

        Raises:
            DatabaseAway: there was no connection, or it was not done in time.
        """
        try:
            async with asyncio.timeout(self.seconds):
                try:
                    return await self._once(work)
                except psycopg.OperationalError:
                    await self.pool.check()
                    return await self._once(work)
        except (psycopg.OperationalError, TimeoutError) as error:
            # PostgreSQL's own words name its address and its account.
            late = f": it was not done within {self.seconds:g} s" if isinstance(error, TimeoutError) else ""
            raise DatabaseAway(f"the database did not answer{late}") from error

    async def _once(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        async with self.pool.connection() as connection:
            return await work(connection)

    async def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """All rows of one repeatable statement, by column names."""

        async def work(connection: Connection) -> list[dict[str, Any]]:
            cursor = await connection.execute(sql, parameters)
            return await cursor.fetchall()

        return await self.run(work)
