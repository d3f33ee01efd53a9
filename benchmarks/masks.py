"""What rules of privacy cost: the same documents loaded without them and with three masks and an excluded field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.backlog import load
from benchmarks.experiments import is_streaming
from benchmarks.results import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.documents import Document
    from benchmarks.lab import Lab
    from benchmarks.results import Results

FLAT = 200_000
NESTED = 100_000

_CUSTOMERS = "customers"
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_KEY = "a key of nothing but this benchmark"
_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("order_no", "email", "phone", "first_name", "last_name", "note", "status", "city"), "text"),
    **dict.fromkeys(("country", "zip", "currency", "channel", "tag_one", "tag_two"), "text"),
    **dict.fromkeys(("created", "updated"), "timestamptz"),
    **dict.fromkeys(("count", "visits"), "integer"),
    "amount": "double precision",
    "active": "boolean",
}
_OF_CUSTOMER = ("email", "phone", "first_name", "last_name")
_FLAT_RULES: dict[str, Any] = {
    "mask": {"email": "hmac", "phone": {"keep_last": 4}, "note": None},
    "exclude": ["secret"],
}
_NESTED_RULES: dict[str, Any] = {
    "mask": {"customer.email": "hmac", "customer.phone": {"keep_last": 4}, "lines.note": None},
    "exclude": ["secret"],
}


def masks(lab: Lab, results: Results, scale: float) -> None:
    """A flat document of 22 fields, and a nested one with five lines; into typed tables and into document tables."""
    lines = {"columns": {"sku": "text", "quantity": "integer", "price": "double precision", "note": "text"}}
    inside = {name: {"path": f"customer.{name}", "type": "text"} for name in _OF_CUSTOMER}
    flat, nested = int(FLAT * scale), int(NESTED * scale)
    typed: dict[str, Any] = {"columns": _COLUMNS}
    _compare(lab, results, "flat, typed", flat, flat_customer, typed, _FLAT_RULES)
    _compare(lab, results, "flat, documents", flat, flat_customer, {}, _FLAT_RULES)
    typed = {"columns": {**_COLUMNS, **inside}, "children": {"lines": lines}}
    _compare(lab, results, "nested, typed", nested, nested_customer, typed, _NESTED_RULES)
    _compare(lab, results, "nested, documents", nested, nested_customer, {}, _NESTED_RULES)


def _compare(
    lab: Lab,
    results: Results,
    kind: str,
    count: int,
    make: Callable[[int], Document],
    tables: dict[str, Any],
    rules: dict[str, Any],
) -> None:
    section, source = f"masks, {kind}", "masks"
    rates, costs = [], []
    for name, masked in (("without", {}), ("with", rules)):
        database = f"{source}_{name}"
        load(lab.fresh_source(database), _CUSTOMERS, make, count)
        there = replace(lab, variables={**lab.variables, "REPLICATOR_MASK_KEY": _KEY})
        mapping = _mapping(lab.directory / f"{database}.yml", {**tables, **masked})
        run = there.measure(database, mapping=mapping, done=is_streaming)
        rates.append(results.rate(section, f"{name} rules", count, run, "documents/s"))
        costs.append(run.service_cpu)
        if lab.rows(database, _CUSTOMERS) != count:
            raise AssertionError(f"{database}: not {count} rows")
        lab.connection.execute(f'drop schema "{database}" cascade')
        lab.connection.execute("drop schema replicator cascade")
        lab.client.drop_database(database)
    results.add(section, "with / without", rates[1] / rates[0], "", Bounds(0.85, 0.95))
    results.add(
        section, "CPU of the service, with / without", costs[1] / costs[0], "", Bounds(1.15, 1.05, at_most=True)
    )


def _mapping(path: Path, collection: dict[str, Any]) -> Path | None:
    if not collection:
        return None
    path.write_text(yaml.safe_dump({"version": 1, "collections": {_CUSTOMERS: collection}}), encoding="utf-8")
    return path


def flat_customer(number: int) -> Document:
    """One flat document."""
    at = _BEGINNING + timedelta(seconds=number)
    return {
        "_id": number,
        "order_no": f"O-{number:09d}",
        "email": f"customer{number * 7919 % 1_000_003}@example.com",
        "phone": f"+4917{number * 104_729 % 10**8:08d}",
        "first_name": f"first{number % 1_000}",
        "last_name": f"last{number % 7_000}",
        "note": f"please ring twice, number {number}",
        "secret": f"{number:032x}",
        "status": ("open", "paid", "sent")[number % 3],
        "amount": number % 10_000 / 7,
        "count": number % 13,
        "created": at,
        "updated": at + timedelta(hours=1),
        "active": number % 2 == 0,
        "city": f"city {number % 500}",
        "country": "DE",
        "zip": f"{number % 100_000:05d}",
        "currency": "EUR",
        "channel": "web",
        "tag_one": f"tag{number % 17}",
        "tag_two": f"tag{number % 19}",
        "visits": number % 100_000,
    }


def nested_customer(number: int) -> Document:
    """One document with a sub-document and an array of five."""
    flat = flat_customer(number)
    customer = {name: flat.pop(name) for name in _OF_CUSTOMER}
    lines = [
        {"sku": f"sku-{number % 977}-{each}", "quantity": each + 1, "price": each * 1.5, "note": f"wrap {number}"}
        for each in range(5)
    ]
    return {**flat, "customer": customer, "lines": lines}
