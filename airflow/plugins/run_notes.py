"""Puts what the tasks of a run have to say into the note of the run, where people look first.

Tasks leave texts (:mod:`warehouse_jobs.orchestration.run_note`); when the run ends, the scheduler tells this listener.
A note that a person has written stays.
"""  # noqa: INP001 - a folder that Airflow looks into, not a package

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.models.dagrun import DagRunNote
from airflow.models.xcom import XComModel
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import object_session

from warehouse_jobs.orchestration.run_note import NOTE, joined

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - Airflow's names
    """Write the note."""
    _write(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - Airflow's names
    """Write the note."""
    _write(dag_run)


def _write(dag_run: DagRun) -> None:
    """The scheduler's own session has the run locked, so the note is written in it; a run in process has none."""
    session = object_session(dag_run)
    with nullcontext(session) if session is not None else create_session() as session:
        _write_in(session, dag_run)


def _write_in(session: Session, dag_run: DagRun) -> None:
    query = (
        select(XComModel)
        .where(XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == NOTE)
        .order_by(XComModel.timestamp, XComModel.task_id, XComModel.map_index)
    )
    texts = [str(XComModel.deserialize_value(each)) for each in session.scalars(query)]
    note = session.get(DagRunNote, dag_run.id)
    if not texts or (note is not None and note.user_id is not None):
        return
    if note is None:
        note = DagRunNote(joined(texts))
        note.dag_run_id = dag_run.id
        session.add(note)
    else:
        note.content = joined(texts)


class RunNotes(AirflowPlugin):
    """Listens to the ends of runs."""

    name = "run_notes"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow reads it
