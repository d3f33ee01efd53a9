"""What a task says on the page of its run.

A task may not write the run's note: it leaves a text, and the plugin ``run_notes`` puts the texts of all tasks into the
note when the run ends.
"""

from __future__ import annotations

NOTE = "note"
"""The XCom key of a text for the note."""

LONGEST_NOTE = 1_000
"""Characters that Airflow keeps of a note."""


def say_on_page(text: str) -> None:
    """Leave a text for the run's note; the last one of a task counts, and a new attempt begins with none.

    Outside a task there is no page.
    """
    from airflow.sdk import get_current_context

    try:
        context = get_current_context()
    except RuntimeError:
        return
    context["ti"].xcom_push(key=NOTE, value=text)


def joined(texts: list[str]) -> str:
    """One note of several texts, each on lines of its own, cut where a note ends."""
    note = "\n\n".join(dict.fromkeys(texts))
    return note if len(note) <= LONGEST_NOTE else note[: LONGEST_NOTE - 4].rstrip() + " ..."
