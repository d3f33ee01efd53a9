"""How a task fails: with cause and fix, in its log and on the run's page, and without a retry that cannot help."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from warehouse_jobs.orchestration.connections import MONGO, POSTGRES
from warehouse_jobs.orchestration.errors import RunError
from warehouse_jobs.orchestration.run_note import say_on_page
from warehouse_jobs.orchestration.setting_names import as_in_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explained() -> Iterator[None]:
    """Raise the jobs' errors as Airflow's, with message and hint.

    What a server may answer differently next time is tried again, anything that a person has to repair fails at once.
    """
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
    )

    from replicator_service.core.errors import Fatal, ReplicatorError
    from warehouse_jobs.generator.errors import GeneratorError, RefusedError, SourceError
    from warehouse_jobs.marts.errors import MartError, ServerError

    try:
        yield
    except (RefusedError, RunError, Fatal) as error:
        raise AirflowFailException(_told(error.message, error.hint)) from None
    except (SourceError, ServerError) as error:
        raise AirflowException(_told(error.message, error.hint)) from None
    except (GeneratorError, MartError) as error:
        raise AirflowFailException(_told(error.message, error.hint)) from None
    except ReplicatorError as error:
        raise AirflowException(_told(error.message, error.hint)) from None
    except AirflowNotFoundException as error:
        hint = f"The init step makes {MONGO} and {POSTGRES}; they are edited under Admin, Connections."
        raise AirflowFailException(_told(str(error), hint)) from None


def _told(message: str, hint: str) -> str:
    told = as_in_airflow(f"{message}\nWhat to do: {hint}" if hint else message)
    say_on_page(told)
    return told
