"""SupportTickets: a question opens a ticket, both sides write, the status follows, most tickets are closed.

``updated_at`` is the time of the last change. A status is ``open`` until support has answered, then ``in_progress``,
``resolved`` by its last message, and ``closed``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from warehouse_jobs.generator.operations import Document, Insert, Operation, Update
from warehouse_jobs.generator.shop import Kind, Shop
from warehouse_jobs.generator.times import Slot, datetime_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

COLLECTION = "SupportTickets"

_ISSUES = {
    "delivery": "my parcel",
    "payment": "the payment",
    "refund": "my refund",
    "product_quality": "the product",
    "account": "my account",
    "technical": "the website",
}
_QUESTIONS = (
    "Hello, there is a problem with {issue}.",
    "I have waited for days, what about {issue}?",
    "Could you please look into {issue}?",
    "Something went wrong with {issue}, can you help?",
    "I need an answer about {issue} this week.",
)
_REMINDERS = (
    "Any news about {issue}?",
    "That did not help, {issue} is still wrong.",
    "Thank you, one more question about {issue}.",
    "I have sent the photo of {issue} that you asked for.",
)
_ANSWERS = (
    "Thank you for writing, I am checking {issue}.",
    "We have passed {issue} on to the warehouse.",
    "Could you tell me the order number for {issue}?",
    "I am sorry about the trouble with {issue}.",
)
_CLOSINGS = (
    "This is solved now, have a nice day!",
    "We have refunded you, sorry again.",
    "A replacement is on its way.",
)
_UNANSWERED_SHARE = 0.06
_MOST_STEPS = 14

# With at most as many steps, a conversation ends within the longest life of a document.
_LONGEST_WAIT_MINUTES = 180.0


class _Step(NamedTuple):
    """A ticket goes on at millisecond ``at``: it has this status from then on; the closing says nothing."""

    at: int
    status: str
    sender: str = ""
    message: str = ""


def _lives(shop: Shop, slot: Slot, updates: Sequence[int]) -> Iterator[list[Operation]]:
    """Yield the tickets opened in the slot; one that is never updated has what was said until the slot's end."""
    rng = shop.random_in(slot, COLLECTION)
    askers = shop.users.choose(rng, len(updates))
    issues = rng.choices(tuple(_ISSUES), k=len(updates))
    for index, (user, issue, count) in enumerate(zip(askers, issues, updates, strict=True)):
        steps = _conversation(shop, rng, slot.instant(rng), count, _ISSUES[issue])
        written = steps[:1] if count else [step for step in steps if step.at < slot.end]
        ticket: Document = {
            "_id": shop.key(COLLECTION, slot, index),
            "ticket_id": shop.name(COLLECTION, slot, index),
            "user_id": user,
            "status": written[-1].status,
            "issue_type": issue,
            "messages": _messages(written),
            "created_at": datetime_of(steps[0].at),
            "updated_at": datetime_of(written[-1].at),
        }
        life: list[Operation] = [Insert(COLLECTION, ticket["updated_at"], ticket)]
        bounds = (1 + (len(steps) - 1) * number // count for number in range(count + 1) if count)
        for start, end in pairwise(bounds):
            at = datetime_of(steps[end - 1].at)
            changes: Document = {"$set": {"status": steps[end - 1].status, "updated_at": at}}
            if messages := _messages(steps[start:end]):
                changes["$push"] = {"messages": {"$each": messages}}
            life.append(Update(COLLECTION, at, ticket["_id"], {"updated_at": {"$lt": at}}, changes))
        yield life


def _conversation(shop: Shop, rng: Random, created: int, at_least: int, issue: str) -> list[_Step]:
    """Return the opening question and at least so many steps after it, in strict order of time."""
    steps: list[_Step] = []

    def go_on(minutes: float, status: str, sender: str = "", phrases: Sequence[str] = ()) -> None:
        wait = 1 + int(min(rng.expovariate(1 / minutes), _LONGEST_WAIT_MINUTES) * shop.minute)
        words = shop.words.remarks if sender == "user" else shop.words.names
        text = f"{rng.choice(phrases).format(issue=issue)} {rng.choice(words)}" if phrases else ""
        steps.append(_Step(steps[-1].at + wait if steps else created, status, sender, text))

    go_on(1, "open", "user", _QUESTIONS)
    length = max(at_least, min(1 + int(rng.expovariate(0.25)), _MOST_STEPS))
    if rng.random() < _UNANSWERED_SHARE:
        for _ in range(at_least):
            go_on(60, "open", "user", _REMINDERS)
        return steps
    draw = rng.random()
    ending = 2 if draw < 0.75 and length > 1 else 1 if draw < 0.9 else 0
    for _ in range(length - ending):
        # Most of the time the other side writes next; sometimes the same one has something to add.
        again = rng.random() < 0.25
        if (steps[-1].sender == "user") == again:
            go_on(3 if again else 30, steps[-1].status, "user", _REMINDERS)
        else:
            go_on(3 if again else 20, "in_progress", "support", _ANSWERS)
    if ending:
        go_on(20, "resolved", "support", _CLOSINGS)
    if ending > 1:
        go_on(60, "closed")
    return steps


def _messages(steps: Sequence[_Step]) -> list[Document]:
    return [
        {"sender": step.sender, "message": step.message, "timestamp": datetime_of(step.at)}
        for step in steps
        if step.sender
    ]


TICKETS = Kind(COLLECTION, "ticket", 5, _lives, update_share=20, most_updates=12, reach=192)
