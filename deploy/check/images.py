"""Both images: they build, are small, run without privileges, and have what they should have and no more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploy.check.report import CheckFailedError
from deploy.check.stand_ins import PREFIX

if TYPE_CHECKING:
    from deploy.check.engine import Engine

ROOT = Path(__file__).parents[2]
REPLICATOR = f"{PREFIX}/replicator:local"
AIRFLOW = f"{PREFIX}/airflow-jobs:local"

_BUDGET_MB = 120
_MAPPING = "/mappings/shop.yml"
_AS_PYTHON = ("--entrypoint", "python")
_PIP = ("-m", "pip", "--disable-pip-version-check")
_ABSENT = ("airflow", "faker", "pip", "hatchling", "devstack")


def service_is_built(engine: Engine, base: str) -> str:
    """The service's image builds and adds no more to its base than it may."""
    engine.build(ROOT / "replicator_service" / "Dockerfile", ROOT, REPLICATOR, PYTHON_IMAGE=base)
    added = _added(engine, REPLICATOR, base)
    if added > _BUDGET_MB:
        raise CheckFailedError(f"it adds {added:.0f} MB to its base, and may add {_BUDGET_MB}")
    return f"adds {added:.0f} MB of {_BUDGET_MB} to its base"


def service_is_locked_in(engine: Engine) -> str:
    """It runs as a numeric user that is not root, on a read-only file system, without a network or capabilities."""
    config = engine.inspect("image", REPLICATOR)["Config"]
    user = config["User"].split(":")[0]
    if not user.isdecimal() or int(user) == 0:
        raise CheckFailedError(f"its user is {user or 'root'}, not a number above 0")
    if config["Healthcheck"]["Test"] != ["CMD", "replicator", "health"]:
        raise CheckFailedError("its health check is not the package's own command")
    version = engine.run(REPLICATOR, "--version").strip()
    if "create table" not in engine.run(REPLICATOR, "mapping", "ddl", _MAPPING):
        raise CheckFailedError(f"it does not find {_MAPPING}")
    return f"user {user}, {version}"


def service_has_no_ballast(engine: Engine) -> str:
    """It has its own packages only, compiled, and finds its SQL."""
    program = (
        "import importlib.util, pathlib, sysconfig\n"
        "from replicator_service.sink.control.migrations import read_migrations\n"
        f"print(*(name for name in {_ABSENT!r} if importlib.util.find_spec(name)))\n"
        "assert read_migrations()\n"
        "packages = pathlib.Path(sysconfig.get_path('purelib'))\n"
        "assert list((packages / 'replicator_service' / '__pycache__').glob('*.pyc'))\n"
    )
    found = _python(engine, program).split()
    if found:
        raise CheckFailedError(f"it has {', '.join(found)}")
    return f"without {', '.join(_ABSENT)}"


def service_asks_for_its_settings(engine: Engine) -> str:
    """Started with nothing, it says what is missing and ends as a wrong configuration."""
    code, said = engine.exit_code(REPLICATOR)
    if code != 2 or "REPLICATOR_MONGO_URI is missing" not in said:
        raise CheckFailedError(f"it ends with {code} and does not name what is missing", output=said)
    code, said = engine.exit_code(REPLICATOR, "health")
    if code == 0 or "no service answers" not in said:
        raise CheckFailedError("its health check is content with no service", output=said)
    return "exit code 2"


def airflow_is_built(engine: Engine, base: str) -> str:
    """Airflow's image builds, and every package of its base is still there in its version and suits ours."""
    engine.build(ROOT / "airflow" / "Dockerfile", ROOT, AIRFLOW, AIRFLOW_IMAGE=base)
    before, after = _packages(engine, base), _packages(engine, AIRFLOW)
    if changed := sorted(before - after):
        raise CheckFailedError(f"packages of the base are gone or changed: {', '.join(changed)}")
    engine.run(AIRFLOW, *_PIP, "check", options=_AS_PYTHON)
    return f"adds {_added(engine, AIRFLOW, base):.0f} MB and {len(after - before)} packages to its base"


def _packages(engine: Engine, image: str) -> set[str]:
    return set(engine.run(image, *_PIP, "list", "--format=freeze", options=_AS_PYTHON).split())


def _python(engine: Engine, program: str) -> str:
    return engine.run(REPLICATOR, "-c", program, options=_AS_PYTHON)


def _added(engine: Engine, image: str, base: str) -> float:
    sizes = [int(engine.inspect("image", name)["Size"]) for name in (image, base)]
    return (sizes[0] - sizes[1]) / 1e6
