"""Dates, which as text are ISO 8601 in UTC (Extended JSON and PostgreSQL both read it), and timestamps of the oplog.

The standard library formats a datetime in 350 ns; dates are the most expensive value of an ordinary document.
Tables of days, minutes, seconds and milliseconds do it in less than half of that.
"""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta

from bson.datetime_ms import DatetimeMS
from bson.timestamp import Timestamp

from replicator_service.core.bson.declaration import BsonType, Encoding, Key, Sample, tagged_text
from replicator_service.core.mapping.model import ColumnType

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - decoded dates are naive and in UTC
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MILLISECOND = timedelta(milliseconds=1)
_DAY_MS = 86_400_000
_FIRST_MS = (date.min.toordinal() - EPOCH_ORDINAL) * _DAY_MS
_LAST_MS = (date.max.toordinal() + 1 - EPOCH_ORDINAL) * _DAY_MS - 1
_POSTGRES_FIRST_MS = -210_866_803_200_000
"""4714-11-24 BC, the first day of PostgreSQL's calendar ("Date/Time Types")."""
_POSTGRES_LAST_MS = 9_224_318_015_999_999
"""294276-12-31 23:59:59.999, the last millisecond that ``timestamptz`` holds."""


class Days(dict[int, str]):
    """The text of each day by its ordinal, made at first use. Bounded."""

    _LIMIT = 50_000

    def __missing__(self, ordinal: int) -> str:
        text = f"{date.fromordinal(ordinal).isoformat()}T"
        if len(self) < self._LIMIT:
            self[ordinal] = text
        return text


DAYS = Days()
MINUTES = tuple(tuple(f"{hour:02}:{minute:02}:" for minute in range(60)) for hour in range(24))
SECONDS = tuple(f"{second:02}" for second in range(60))
MILLISECONDS = ("Z", *(f".{millisecond:03}Z" for millisecond in range(1, 1000)))


def iso_text(value: datetime) -> str:
    """Return a naive UTC datetime as ``2024-01-02T03:04:05.678Z``; whole seconds have no fraction."""
    return (
        f"{DAYS[value.toordinal()]}{MINUTES[value.hour][value.minute]}"
        f"{SECONDS[value.second]}{MILLISECONDS[value.microsecond // 1000]}"
    )


def milliseconds(value: datetime | DatetimeMS) -> int:
    """Return the milliseconds since 1970: what BSON stores."""
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - _EPOCH) // _MILLISECOND
    return int(value)


def datetime_of(since_epoch: int) -> datetime | None:
    """Return the datetime of a number of milliseconds, or None outside the years 1 to 9999."""
    if _FIRST_MS <= since_epoch <= _LAST_MS:
        return _EPOCH + timedelta(milliseconds=since_epoch)
    return None


def timestamptz_text(value: datetime | DatetimeMS) -> str | None:
    """Return PostgreSQL's input for any date, or None when ``timestamptz`` cannot hold it."""
    if isinstance(value, datetime):
        return iso_text(value)
    since_epoch = int(value)
    within = datetime_of(since_epoch)
    if within is not None:
        return iso_text(within)
    if not _POSTGRES_FIRST_MS <= since_epoch <= _POSTGRES_LAST_MS:
        return None
    days, time = divmod(since_epoch, _DAY_MS)
    year, month, day = _civil(days)
    seconds, millisecond = divmod(time, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millisecond:03}"
    if year > 0:
        return f"{year:04}-{month:02}-{day:02}T{clock}Z"
    return f"{1 - year:04}-{month:02}-{day:02}T{clock}Z BC"


def _civil(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day of a day since 1970 in the Gregorian calendar, for any year.

    The calendar repeats every 400 years, which are 146,097 days: move the day into a span that Python knows.
    """
    cycles, rest = divmod(days, 146_097)
    within = date.fromordinal(EPOCH_ORDINAL + rest)
    return within.year + 400 * cycles, within.month, within.day


def _decoded(raw: bytes) -> datetime | DatetimeMS:
    since_epoch = int.from_bytes(raw, "little", signed=True)
    within = datetime_of(since_epoch)
    return DatetimeMS(since_epoch) if within is None else within


def _json(value: datetime | DatetimeMS) -> str:
    if type(value) is datetime:
        ordinal = value.toordinal()
        if ordinal >= EPOCH_ORDINAL:
            # What `iso_text` does, without a call: dates are what most documents are full of.
            return (
                f'{{"$date":"{DAYS[ordinal]}{MINUTES[value.hour][value.minute]}'
                f'{SECONDS[value.second]}{MILLISECONDS[value.microsecond // 1000]}"}}'
            )
    since_epoch = milliseconds(value)
    within = datetime_of(since_epoch)
    if within is None or since_epoch < 0:
        return f'{{"$date":{{"$numberLong":"{since_epoch}"}}}}'
    return f'{{"$date":"{iso_text(within)}"}}'


def _key(value: datetime | DatetimeMS) -> Key:
    since_epoch = milliseconds(value)
    within = datetime_of(since_epoch)
    return ("date", str(since_epoch) if within is None else iso_text(within))


def _from_key(text: str) -> datetime | DatetimeMS:
    if text.endswith("Z"):
        return datetime.fromisoformat(text).replace(tzinfo=None)
    return DatetimeMS(int(text))


def _timestamp(raw: bytes) -> Timestamp:
    increment, time = struct.unpack("<II", raw)
    return Timestamp(time, increment)


def _timestamp_from_key(text: str) -> Timestamp:
    seconds, _, increment = text.partition(":")
    return Timestamp(int(seconds), int(increment))


def _sample(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 3, 4, 5, 678000)  # noqa: DTZ001 - decoded dates are naive and in UTC


DATE = BsonType(
    name="date",
    classes=(datetime, DatetimeMS),
    encodings={0x09: Encoding(lambda raw, _: _decoded(raw), 8)},
    json=_json,
    key=_key,
    keys={"date": _from_key},
    columns={ColumnType.TIMESTAMPTZ: timestamptz_text, ColumnType.TEXT: lambda value: tagged_text(_key(value))},
    samples=(
        Sample("date, 1970 to 9999", _sample(2024, 1, 2)),
        Sample("date, before 1970", _sample(1066, 10, 14)),
        Sample("date, 4714 BC to 294276", DatetimeMS(-62135596800001)),
        Sample("date, beyond", DatetimeMS(2**63 - 1)),
    ),
)

TIMESTAMP = BsonType(
    name="timestamp",
    classes=(Timestamp,),
    encodings={0x11: Encoding(lambda raw, _: _timestamp(raw), 8)},
    json=lambda value: f'{{"$timestamp":{{"t":{value.time},"i":{value.inc}}}}}',
    key=lambda value: ("timestamp", f"{value.time}:{value.inc}"),
    keys={"timestamp": _timestamp_from_key},
    samples=(Sample("timestamp", Timestamp(1700000000, 1)),),
)
