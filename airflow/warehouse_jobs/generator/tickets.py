"""SupportTickets: a question opens a ticket, both sides write, the status follows, most tickets are closed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from warehouse_jobs.generator.documents import SUPPORT_TICKETS, Message, SupportTicket
from warehouse_jobs.generator.operations import Insert, Operation, Update
from warehouse_jobs.generator.slots import Slot, moment
from warehouse_jobs.generator.vocabulary import ISSUES, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.shop import Shop

OPEN = "open"
IN_PROGRESS = "in_progress"
RESOLVED = "resolved"
CLOSED = "closed"

_ISSUES = tuple(ISSUES)
_UNANSWERED_SHARE = 0.06
_MOST_STEPS = 14

# With at most as many steps, a conversation ends within the longest life of a document.
_LONGEST_WAIT_MINUTES = 180.0


@dataclass(frozen=True, slots=True)
class _Step:
    """A ticket goes on at millisecond ``at``: it has this status from then on; the closing says nothing."""

    at: int
    status: str
    sender: Literal["user", "support"] | None


def tickets(shop: Shop, slot: Slot, ordinals: Ordinals, deleted: Mapping[int, int]) -> Iterator[Operation]:
    """The tickets opened in the slot, with their conversations until they end or are deleted.

    A ticket that is never updated is written with what was said until the end of the slot.
    """
    rng = shop.random(SUPPORT_TICKETS, slot)
    identity = shop.visitors(SUPPORT_TICKETS)
    askers = shop.population.users.choose(rng, ordinals.count)
    for index, (user, issue) in enumerate(zip(askers, rng.choices(_ISSUES, k=ordinals.count), strict=True)):
        updates = shop.mix.updates(SUPPORT_TICKETS, ordinals.first + index)
        created = slot.instant(rng)
        steps = _conversation(rng, shop.minute, created, updates)
        told = [step for step in steps[1:] if step.at < slot.end] if not updates else []
        written = [steps[0], *told]
        document = SupportTicket(
            _id=identity.key(slot, index),
            ticket_id=identity.name(slot, index),
            user_id=user,
            status=written[-1].status,
            issue_type=issue,
            messages=_messages(shop.vocabulary, rng, issue, written),
            created_at=moment(created),
            updated_at=moment(written[-1].at),
        )
        yield Insert(SUPPORT_TICKETS, document["updated_at"], document)
        for portion in _portions(steps[1:], updates):
            if portion[-1].at >= deleted.get(index, portion[-1].at + 1):
                break
            at = moment(portion[-1].at)
            changes: dict[str, object] = {"$set": {"status": portion[-1].status, "updated_at": at}}
            messages = _messages(shop.vocabulary, rng, issue, portion)
            if messages:
                changes["$push"] = {"messages": {"$each": messages}}
            yield Update(SUPPORT_TICKETS, at, document["_id"], {"updated_at": {"$lt": at}}, changes)


def _conversation(rng: Random, minute: float, created: int, at_least: int) -> list[_Step]:
    """The opening question and at least so many steps after it, in strict order of time."""
    steps = [_Step(created, OPEN, "user")]
    length = max(at_least, min(1 + int(rng.expovariate(0.25)), _MOST_STEPS))
    if rng.random() < _UNANSWERED_SHARE:
        for _ in range(at_least):
            steps.append(_Step(_after(rng, steps[-1].at, minute, 60), OPEN, "user"))
        return steps
    draw = rng.random()
    ending = 2 if draw < 0.75 and length > 1 else 1 if draw < 0.9 else 0
    for _ in range(length - ending):
        last = steps[-1]
        # Most of the time the other side writes next; sometimes the same one has something to add.
        again = rng.random() < 0.25
        sender: Literal["user", "support"] = "user" if (last.sender == "user") == again else "support"
        status = OPEN if last.status == OPEN and sender == "user" else IN_PROGRESS
        wait = 3 if again else 20 if sender == "support" else 30
        steps.append(_Step(_after(rng, last.at, minute, wait), status, sender))
    if ending:
        steps.append(_Step(_after(rng, steps[-1].at, minute, 20), RESOLVED, "support"))
    if ending > 1:
        steps.append(_Step(_after(rng, steps[-1].at, minute, 60), CLOSED, None))
    return steps


def _after(rng: Random, time: int, minute: float, mean_minutes: float) -> int:
    wait = min(rng.expovariate(1 / mean_minutes), _LONGEST_WAIT_MINUTES)
    return time + 1 + int(wait * minute)


def _portions(steps: list[_Step], count: int) -> Iterator[list[_Step]]:
    """Equal portions, which differ by one step at most; nothing for a count of 0."""
    for start, end in pairwise(len(steps) * number // count for number in range(count + 1) if count):
        yield steps[start:end]


def _messages(vocabulary: Vocabulary, rng: Random, issue: str, steps: list[_Step]) -> list[Message]:
    messages: list[Message] = []
    for step in steps:
        if step.sender is None:
            continue
        if step.status == RESOLVED:
            texts = vocabulary.closings
        elif step.sender == "support":
            texts = vocabulary.answers[issue]
        else:
            texts = vocabulary.reminders[issue] if messages else vocabulary.questions[issue]
        text = texts[int(rng.random() * len(texts))]
        messages.append(Message(sender=step.sender, message=text, timestamp=moment(step.at)))
    return messages
