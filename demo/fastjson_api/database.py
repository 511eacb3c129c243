"""SQLite off the event loop: one connection in one thread, so that the loop never waits for a disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from opentelemetry import trace
from prometheus_client import Histogram

from . import items

P = ParamSpec("P")
T = TypeVar("T")

OPERATIONS = {
    items.page: "SELECT",
    items.get: "SELECT",
    items.insert: "INSERT",
    items.update: "UPDATE",
    items.delete: "DELETE",
}
tracer = trace.get_tracer("fastjson_api.database")


class Database:
    """`await run(items.get, 7)` calls `items.get(connection, 7)` there. Raises `sqlite3.Error`."""

    def __init__(self, path: str, duration: Histogram) -> None:
        self.path = path
        self.duration = duration
        self.thread = ThreadPoolExecutor(1, "sqlite")
        self.connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        self.connection = await asyncio.get_running_loop().run_in_executor(self.thread, items.connect, self.path)

    async def close(self) -> None:
        if self.connection is not None:
            await asyncio.get_running_loop().run_in_executor(self.thread, self.connection.close)
        self.thread.shutdown()

    async def run(
        self, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        operation = OPERATIONS[question]
        attributes = {
            "db.system.name": "sqlite",
            "db.operation.name": operation,
            "db.collection.name": "items",
            "db.namespace": self.path,
        }
        with (
            tracer.start_as_current_span(f"{operation} items", kind=trace.SpanKind.CLIENT, attributes=attributes),
            self.duration.labels(operation).time(),
        ):
            return await self._call(question, *args, **kwargs)

    async def ping(self) -> None:
        """A health question: neither traced nor timed."""
        await self._call(items.ping)

    async def _call(
        self, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        connection = self.connection
        if connection is None:
            raise sqlite3.OperationalError("the database is not open")
        return await asyncio.get_running_loop().run_in_executor(
            self.thread, lambda: question(connection, *args, **kwargs)
        )
