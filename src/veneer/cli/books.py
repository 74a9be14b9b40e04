"""The books that a command line names, asked one question."""

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from veneer.books.books import Books
from veneer.books.opening import open_books
from veneer.cli.embedded import with_ledger
from veneer.config import load
from veneer.config.store_url import read_store_url
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.wiring import ConfigurationError

T = TypeVar("T")


def asked(given: Namespace, question: Callable[[Books], Awaitable[T]], *, timeout: float) -> T:
    """Return the answer to a question, which may take so many seconds at the most.

    Raises `ConfigurationError` where no ledger is named, or that cannot answer.
    """

    async def ask(books: Books) -> T:
        try:
            return await question(books)
        finally:
            await books.aclose()

    url, option = _place(given)
    try:
        books = open_books(url, timeout=timeout)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from error
    try:
        return asyncio.run(ask(books))
    except LedgerUnavailableError as error:
        raise ConfigurationError(f"the ledger cannot be read: {error}.") from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _place(given: Namespace) -> tuple[str, str]:
    """Return the URL of the ledger, and the option that it comes from."""
    if given.ledger is not None:
        return read_store_url(given.ledger, "--ledger"), "--ledger"
    path = Path(given.config) if given.config else None
    config = None if path is None else with_ledger(load(path), path.absolute().parent)
    ledger = None if config is None else config.cost.ledger
    if ledger is None:
        raise ConfigurationError(
            "no ledger is named: give --ledger sqlite:///file.db, or --config with a file that has "
            "[prices]."
        )
    return read_store_url(ledger, "[cost] ledger"), "[cost] ledger"
