"""What commands print of other people's words."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from replicator_service.cli.output import json_text, print_table, printable

if TYPE_CHECKING:
    import pytest


def test_what_would_move_a_terminal_is_spelled_out() -> None:
    hostile = "a\x1b[2J\x9b5m\u202eb\nc"
    assert printable({hostile: [hostile, 1]}) == {r"a\x1b[2J\x9b5m\u202eb\nc": [r"a\x1b[2J\x9b5m\u202eb\nc", 1]}
    assert printable("Заказы — 注文 ✓") == "Заказы — 注文 ✓"


def test_tables_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("\x1b]0;title\x07two\nlines",)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown.splitlines()) == 3


def test_json_keeps_digits_and_says_what_is_no_number() -> None:
    numbers = {"a": Decimal("0.10000000000000000000001"), "b": [Decimal("1E+3"), Decimal("NaN"), float("-inf")]}
    assert json_text(numbers) == '{"a": 0.10000000000000000000001, "b": [1000, "NaN", "-Infinity"]}'


def test_json_escapes_what_a_terminal_would_obey_and_reads_back_the_same() -> None:
    odd = {"shop:book:1\x1b\x9b\u202e\U000e0001": ["[red]", "\n", "Заказ ✓"]}
    text = json_text(odd, indent=2)
    assert json.loads(text) == odd
    assert all(each.isprintable() or each == "\n" for each in text)
    assert "Заказ ✓" in text
