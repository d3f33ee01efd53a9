"""The shop's collections and the exact fields of their documents.

Prices are Decimal128: money is decimal, so ``19.99`` stays ``19.99`` on its way to a ``numeric`` column, where a double
would arrive as the nearest binary fraction. Times are aware datetimes in UTC with the millisecond precision of BSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from datetime import datetime

    from bson import Decimal128, ObjectId

USER_SESSIONS = "UserSessions"
PRODUCT_PRICE_HISTORY = "ProductPriceHistory"
EVENT_LOGS = "EventLogs"
SUPPORT_TICKETS = "SupportTickets"
USER_RECOMMENDATIONS = "UserRecommendations"
MODERATION_QUEUE = "ModerationQueue"
SEARCH_QUERIES = "SearchQueries"

COLLECTIONS = (
    USER_SESSIONS,
    PRODUCT_PRICE_HISTORY,
    EVENT_LOGS,
    SUPPORT_TICKETS,
    USER_RECOMMENDATIONS,
    MODERATION_QUEUE,
    SEARCH_QUERIES,
)


class Device(TypedDict):
    """What a session was browsed with."""

    type: str
    user_agent: str


class Action(TypedDict):
    """One thing a visitor did."""

    action_type: str
    element: str
    timestamp: datetime


class UserSession(TypedDict):
    """A visit. ``end_time`` is null while it lasts; actions are in order of time, within the visit."""

    _id: ObjectId
    session_id: str
    user_id: str
    start_time: datetime
    end_time: datetime | None
    pages_visited: list[str]
    device: Device
    actions: list[Action]


class PriceChange(TypedDict):
    """The price of a product from a moment on."""

    timestamp: datetime
    price: Decimal128


class ProductPrices(TypedDict):
    """A product. ``current_price`` is the price of the last change; changes are in order of time."""

    _id: ObjectId
    product_id: str
    price_changes: list[PriceChange]
    current_price: Decimal128
    currency: str


class EventDetails(TypedDict):
    """Who caused an event, from where, and how it ended. ``user_id`` is null for a visitor who is not logged in."""

    user_id: str | None
    ip_address: str
    status: str


class EventLog(TypedDict):
    """Something that happened; an order is an event of type ``order_placed``."""

    _id: ObjectId
    event_id: str
    timestamp: datetime
    event_type: str
    details: EventDetails


class Message(TypedDict):
    """One message of a ticket."""

    sender: Literal["user", "support"]
    message: str
    timestamp: datetime


class SupportTicket(TypedDict):
    """A ticket with its conversation in order of time; ``updated_at`` is the time of its last change."""

    _id: ObjectId
    ticket_id: str
    user_id: str
    status: str
    issue_type: str
    messages: list[Message]
    created_at: datetime
    updated_at: datetime


class Recommendations(TypedDict):
    """What is recommended to a user; replaced as a whole."""

    _id: ObjectId
    user_id: str
    recommended_products: list[str]
    last_updated: datetime


class Review(TypedDict):
    """A review of a product on its way through moderation: ``pending``, then ``approved`` or ``rejected``."""

    _id: ObjectId
    review_id: str
    user_id: str
    product_id: str
    review_text: str
    rating: int
    moderation_status: str
    flags: list[str]
    submitted_at: datetime


class SearchQuery(TypedDict):
    """A search. ``category`` is null where the visitor searched the whole shop."""

    _id: ObjectId
    query_id: str
    user_id: str
    query_text: str
    timestamp: datetime
    category: str | None
    price_range: str
    results_count: int


Document = UserSession | ProductPrices | EventLog | SupportTicket | Recommendations | Review | SearchQuery
