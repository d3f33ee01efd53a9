"""Synthetic shop documents, made fast and the same at every run: flat events and nested tickets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

Document = dict[str, Any]

EVENT_LOGS = "EventLogs"
SUPPORT_TICKETS = "SupportTickets"

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_TYPES = ("page_view", "product_view", "login", "add_to_cart", "order_placed", "payment", "logout")
_ISSUES = ("delivery", "payment", "returns", "account")
_TEXT = "My parcel number {0} has not arrived yet, could you please look where it is? It was due on Monday."


def event_log(number: int) -> Document:
    """One flat document of EventLogs."""
    user = number * 7919 % 10_000
    return {
        "_id": _key(number, "1"),
        "event_id": f"event-{number:09d}",
        "timestamp": BEGINNING + timedelta(milliseconds=number * 37),
        "event_type": _TYPES[number % len(_TYPES)],
        "details": {
            "user_id": f"user-{user:05d}",
            "ip_address": f"10.{user >> 8 & 255}.{user & 255}.{number & 255}",
            "status": "failed" if number % 23 == 0 else "success",
        },
    }


def support_ticket(number: int) -> Document:
    """One document of SupportTickets with 1 to 10 messages."""
    created = BEGINNING + timedelta(seconds=number)
    messages = [
        {
            "sender": "support" if each % 2 else "user",
            "message": _TEXT.format(number + each),
            "timestamp": created + timedelta(minutes=each),
        }
        for each in range(1 + number % 10)
    ]
    return {
        "_id": _key(number, "2"),
        "ticket_id": f"ticket-{number:09d}",
        "user_id": f"user-{number * 7919 % 10_000:05d}",
        "status": "open" if number % 3 else "closed",
        "issue_type": _ISSUES[number % len(_ISSUES)],
        "messages": messages,
        "created_at": created,
        "updated_at": messages[-1]["timestamp"],
    }


def _key(number: int, kind: str) -> ObjectId:
    """Grows with the number, as the keys do that drivers give."""
    return ObjectId(f"{kind}{number:023x}")
