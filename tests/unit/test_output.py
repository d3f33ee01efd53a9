"""What commands print of other people's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.cli.output import print_table, printable

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
