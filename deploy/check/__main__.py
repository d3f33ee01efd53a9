"""``python -m deploy.check``: every check that this machine allows, and what could not be checked.

1. docker-compose.yml is valid with .env-dev, and a missing secret is named; deploy/service-alone.yml is valid, too.
2. Both images build on the published base images, or on stand-ins where those cannot be pulled; they are looked at.
3. The whole file comes up, replicates, runs its DAGs and survives a restart; then it is taken down again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.check.compose_file import is_valid, secrets_are_asked_for
from deploy.check.composition import Composition, find_compose
from deploy.check.engine import Engine, find_engine
from deploy.check.images import (
    ROOT,
    airflow_is_built,
    service_asks_for_its_settings,
    service_has_no_ballast,
    service_is_built,
    service_is_locked_in,
)
from deploy.check.monitoring import scrapes
from deploy.check.report import Report
from deploy.check.stand_ins import PREFIX, BaseImages, make_stand_ins, obstacle
from deploy.check.system import PORTS, System, override
from devstack.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = ROOT / "docker-compose.yml"
_ALONE = ROOT / "deploy" / "service-alone.yml"
_VALUES = ROOT / ".env-dev"
_IMAGES = "the images"
_SYSTEM = "the running system"


def main() -> int:
    """Check everything in order and give the exit code: 0, or 1 when something is not as it should be."""
    report = Report()
    values = _values()
    # The file alone counts, not what happens to be set here.
    environ = {name: value for name, value in os.environ.items() if name not in values}
    composition = _check_file(report, environ)
    engine = find_engine(environ)
    if engine is None:
        report.not_checked(f"{_IMAGES} and {_SYSTEM}", "no container engine answers (DOCKER_HOST or the default one)")
    elif bases := _bases(report, engine, values):
        _check_images(report, engine, bases)
        if composition is None or report.exit_code:
            report.not_checked(_SYSTEM, "it needs the above")
        else:
            _check_system(report, engine, composition, bases, values)
        report.not_checked("Grafana and Alertmanager", "no package of them is published where stand-ins come from")
    report.summary()
    return report.exit_code


def _check_file(report: Report, environ: dict[str, str]) -> Composition | None:
    program = find_compose(environ)
    if program is None:
        report.not_checked("docker-compose.yml", "there is neither docker compose nor docker-compose here")
        return None
    composition = Composition(program, (_FILE,), _VALUES, PREFIX, environ)
    report.check("docker-compose.yml is valid", partial(is_valid, composition))
    report.check("a missing secret is named", partial(secrets_are_asked_for, composition))
    alone = replace(composition, files=(_ALONE,), environ={**environ, "MONGO_DATABASE": "origin"})
    report.check("deploy/service-alone.yml is valid", partial(is_valid, alone))
    return composition


def _bases(report: Report, engine: Engine, values: dict[str, str]) -> BaseImages | None:
    """The published base images where they can be had, otherwise stand-ins; None where neither is possible."""
    published = _published(values)
    if all(engine.pull(image) for image in astuple(published)):
        report.check("the published base images are here", lambda: f"engine {engine.version}")
        return published
    if reason := obstacle(engine):
        report.not_checked(f"{_IMAGES} and {_SYSTEM}", f"they cannot be pulled, and {reason}")
        return None
    made: list[BaseImages] = []

    def make() -> str:
        made.append(make_stand_ins(engine))
        return f"made of the same programs, engine {engine.version}"

    report.check("stand-ins for the published base images", make)
    report.not_checked("the published base images themselves", "they cannot be pulled")
    return made[0] if made else None


def _published(values: dict[str, str]) -> BaseImages:
    return BaseImages(
        python=values["PYTHON_IMAGE"],
        airflow=values["AIRFLOW_IMAGE"],
        mongo=values["MONGO_IMAGE"],
        postgres=values["POSTGRES_IMAGE"],
        prometheus=values["PROMETHEUS_IMAGE"],
    )


def _check_images(report: Report, engine: Engine, bases: BaseImages) -> None:
    if report.check("the service's image builds", partial(service_is_built, engine, bases.python)):
        report.check("the service's image runs locked in", partial(service_is_locked_in, engine))
        report.check("the service's image has no ballast", partial(service_has_no_ballast, engine))
        report.check("the service's image asks for its settings", partial(service_asks_for_its_settings, engine))
    report.check("Airflow's image builds", partial(airflow_is_built, engine, bases.airflow))


def _check_system(
    report: Report, engine: Engine, composition: Composition, bases: BaseImages, values: dict[str, str]
) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-", ignore_cleanup_errors=True) as directory:
        logs = Path(directory) / "logs"
        logs.mkdir()
        file = Path(directory) / "override.json"
        file.write_text(override(bases, logs), encoding="utf-8")
        ports = {name: str(free_port()) for name in PORTS}
        project = replace(composition, files=(_FILE, file), environ={**composition.environ, **ports})
        system = System(engine, project, {**values, **ports})
        steps: dict[str, Callable[[], str]] = {
            "nothing is left of an earlier run": partial(_removed, project),
            "the whole system comes up": system.comes_up,
            "the DAGs run": system.runs_the_dags,
            "rows equal documents": system.is_equal,
            "the service is ready": system.is_ready,
            "down and up again keeps everything": system.survives_a_restart,
            "Prometheus sees the service": partial(scrapes, project, int(ports["PROMETHEUS_PORT"])),
        }
        try:
            # Each step needs those before it.
            all(report.check(name, step) for name, step in steps.items())
        finally:
            report.check("everything is taken down", partial(_removed, project))


def _removed(project: Composition) -> str:
    project.down(volumes=True)
    return "images stay, which makes the next check quick"


def _values() -> dict[str, str]:
    lines = _VALUES.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


if __name__ == "__main__":
    sys.exit(main())
