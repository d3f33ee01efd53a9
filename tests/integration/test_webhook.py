"""The webhook against real receivers: it gets there in the end, and whatever a receiver does keeps nobody waiting."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from replicator_service.configuration.settings import Settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.runtime.webhook.delivery import MOST, Deliveries, Delivery
from replicator_service.runtime.webhook.request import NotDelivered, post
from tests.support.processes import Operator
from tests.support.receiver import SECRET, Manner, Receiver
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Sink, Source


class Latest:
    """What was heard of the deliveries, the latest."""

    def __init__(self) -> None:
        self.latest = Deliveries()

    def __call__(self, deliveries: Deliveries) -> None:
        self.latest = deliveries


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


@pytest.fixture
def operator(source: Source, sink: Sink, receiver: Receiver, tmp_path: Path) -> Operator:
    environ = {
        "REPLICATOR_MONGO_URI": source.uri,
        "REPLICATOR_MONGO_DATABASE": source.name,
        "REPLICATOR_POSTGRES_DSN": sink.dsn,
        "REPLICATOR_HTTP_PORT": "0",
        "REPLICATOR_WEBHOOK_URL": receiver.url,
    }
    return Operator(environ, tmp_path)


@pytest.mark.parametrize(
    ("manner", "reason", "is_final"),
    [
        (Manner.FAILS, "status 503", False),
        (Manner.REFUSES, "status 404", True),
        (Manner.REDIRECTS, "status 307", True),
        (Manner.HANGS, "", False),
        (Manner.DRIPS, "", False),
    ],
)
def test_each_manner_of_a_receiver_ends_in_time_with_its_reason(
    receiver: Receiver, manner: Manner, reason: str, *, is_final: bool
) -> None:
    receiver.manner = manner
    began = time.monotonic()
    with pytest.raises(NotDelivered) as caught:
        post(receiver.url, b"{}", whole_seconds=1.0)
    assert time.monotonic() - began < 5.0
    assert reason in caught.value.reason
    assert caught.value.is_final is is_final
    assert SECRET not in repr(caught.value)


def test_a_receiver_that_is_not_there_is_named_without_its_address() -> None:
    with pytest.raises(NotDelivered, match="refuses the connection"):
        post(f"http://127.0.0.1:1/{SECRET}", b"{}")
    with pytest.raises(NotDelivered, match="name does not resolve"):
        post(f"http://nowhere.invalid/{SECRET}", b"{}")


def test_a_message_arrives_once_the_receiver_works_again_and_in_order(receiver: Receiver) -> None:
    receiver.manner = Manner.FAILS
    told = Latest()
    delivery = Delivery(receiver.url, told=told, first_wait=0.01)
    delivery.start()
    delivery.enqueue({"number": 1})
    delivery.enqueue({"number": 2})
    wait_until(lambda: told.latest.tries >= 2)
    assert told.latest.problem == "the receiver answers with the status 503"
    receiver.manner = Manner.TAKES
    wait_until(lambda: told.latest.sent == 2, timeout=30.0)
    assert [each["number"] for each in receiver.messages] == [1, 2]
    assert told.latest.problem is None
    delivery.stop()


def test_what_a_receiver_refuses_for_good_is_given_up_at_once(receiver: Receiver) -> None:
    receiver.manner = Manner.REFUSES
    told = Latest()
    delivery = Delivery(receiver.url, told=told)
    delivery.start()
    delivery.enqueue({"number": 1})
    wait_until(lambda: told.latest.failed == 1)
    assert receiver.requests == 1
    delivery.stop()


def test_a_receiver_that_hangs_keeps_nobody_waiting_and_the_queue_has_an_end(receiver: Receiver) -> None:
    receiver.manner = Manner.HANGS
    told = Latest()
    delivery = Delivery(receiver.url, told=told)
    delivery.start()
    began = time.monotonic()
    for number in range(MOST + 50):
        delivery.enqueue({"number": number})
    assert time.monotonic() - began < 1.0
    assert told.latest.dropped >= 49
    delivery.stop(0.2)
    assert time.monotonic() - began < 3.0


def test_dead_letters_of_a_running_service_are_told_and_the_address_never(
    operator: Operator, source: Source, sink: Sink, receiver: Receiver
) -> None:
    with operator.running() as service:
        service.wait_for_state("streaming")
        with sink.connect() as connection:
            source.db.things.insert_one({"_id": 1})
            wait_until(lambda: service.status()["collections"].get("things"))
            connection.execute(
                f"alter table \"{source.name}\".things add check (_id <> '2')".replace("'2'", "'$number:2'")
            )
        source.db.things.insert_one({"_id": 2})
        wait_until(lambda: ("raised", "dead_letters") in receiver.causes(), timeout=30.0)
        (message,) = [each for each in receiver.messages if each["cause"] == "dead_letters"]
        assert (message["stream"], message["severity"], message["state"]) == (source.name, "warning", "streaming")
        told = service.get("/status")[1] + service.get("/metrics")[1]
        assert 'replicator_webhook_messages_total{outcome="sent"' in told
        assert SECRET not in told
        assert service.end(signal.SIGTERM) == 0
        assert SECRET not in service.log.read_text(encoding="utf-8")


def test_a_service_that_fails_says_so_before_it_ends(operator: Operator, receiver: Receiver) -> None:
    done = operator.run_to_its_end(
        REPLICATOR_POSTGRES_DSN="postgresql://nobody:wrong@127.0.0.1:1/nowhere?sslmode=bogus"
    )
    assert done.returncode == ConfigurationError.exit_code
    assert ("raised", "failed") in receiver.causes()


def test_a_receiver_that_hangs_does_not_keep_the_service(
    operator: Operator, source: Source, receiver: Receiver
) -> None:
    receiver.manner = Manner.HANGS
    with operator.running(REPLICATOR_DEAD_LETTER_MAX_RUN="100") as service:
        service.wait_for_state("streaming")
        assert operator.replicator("pause").exit_code == 0
        wait_until(lambda: receiver.requests, timeout=30.0)
        assert operator.replicator("resume").exit_code == 0
        source.db.things.insert_one({"_id": 1})
        service.wait_for_state("streaming")
        failing = wait_until(lambda: service.status()["webhook"]["problem"], timeout=30.0)
        assert "does not answer" in failing
        assert [each for each in service.status()["notices"] if each["subject"] == "webhook"]
        assert service.status()["lag_seconds"] == 0
        began = time.monotonic()
        assert service.end(signal.SIGTERM, timeout=20.0) == 0
        assert time.monotonic() - began < 8.0


@pytest.mark.parametrize("url", ["ftp://host/x", "https://", "host/path", "'https://host'", "https://host:no/x"])
def test_an_address_that_is_none_is_refused_without_being_shown(operator: Operator, url: str) -> None:
    done = operator.replicator("config", "show", "--json", REPLICATOR_WEBHOOK_URL=url)
    assert done.exit_code == ConfigurationError.exit_code
    assert "REPLICATOR_WEBHOOK_URL is wrong" in done.output


def test_the_settings_show_where_it_goes_and_nothing_more(operator: Operator, receiver: Receiver) -> None:
    shown = json.loads(operator.replicator("config", "show", "--json").stdout)["REPLICATOR_WEBHOOK_URL"]["value"]
    assert shown == f"{receiver.url.partition('/services')[0]}/***"
    assert SECRET not in repr(Settings.model_fields)
