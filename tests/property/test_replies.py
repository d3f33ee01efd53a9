"""Replies of any size give the same documents, keys and bytes."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core import replies
from replicator_service.core.replies import Reply
from tests.support.bson_values import LEAVES, nested

BAD_TEXT = b"\x10\0\0\0\x02t\0\x04\0\0\0a\xff\xfe\0\0"
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), nested(LEAVES), max_size=3), max_size=8)


def array_of(documents: list[bytes]) -> bytes:
    body = b"".join(b"\3%d\0%b" % (n, each) for n, each in enumerate(documents))
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def seen(reply: Reply, *, field: bool) -> list[Any]:
    ordinals = range(reply.count)
    ids = [repr(each) for each in reply.ids]
    inexact = [reply.needs_exact(n) for n in ordinals]
    documents = [repr(reply.document(n)) for n in ordinals]
    again = [repr(reply.document(n)) for n in reversed(ordinals)]
    assert again[::-1] == documents
    events = [repr({**event, "fullDocument": 0} if field else event) for event in reply.documents]
    reply.release()
    assert len(reply.documents) == len(documents)
    return [ids, inexact, documents, events, [reply.raw(n) for n in ordinals], [reply.key(n) for n in ordinals]]


@pytest.mark.parametrize("field", [None, "fullDocument"])
@given(DOCUMENTS, st.sets(st.integers(0, 7)), st.integers(1, 200))
def test_a_large_reply_gives_what_a_small_one_does(
    field: str | None, documents: list[Any], bad: set[int], window: int
) -> None:
    raws = []
    for number, document in enumerate(documents):
        inner: Any = {"_id": number, **document}
        if number in bad:
            inner["bad"] = RawBSONDocument(BAD_TEXT)
        event = {"_id": {}, "fullDocument": inner, "documentKey": {"_id": number}, "more": 1}
        raws.append(bson.encode(inner if field is None else event))
    array = array_of(raws)
    small = seen(Reply(array, field=field), field=field is not None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replies, "WHOLE_BYTES", 0)
        patch.setattr(replies, "_WINDOW_BYTES", window)
        large = seen(Reply(array, field=field), field=field is not None)
    # A small one knows what is inexact once it was decoded, which asking for the ids does.
    assert large[0] == small[0]
    assert large[2:] == small[2:]
    assert large[1] == [number in bad or lossy for number, lossy in enumerate(small[1])]
