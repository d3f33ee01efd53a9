"""`docker-compose.yml` and `.env-dev` agree, and what every service of ours must have is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator_service.configuration.environment import PREFIX
from replicator_service.configuration.settings import Settings, load_settings
from warehouse_jobs.orchestration.component_health import COMPONENTS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
STEPS = {"mongo-init", "postgres-init", "airflow-init"}
SERVERS = set(SERVICES) - STEPS

_REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:\?|:-)([^}]*))?\}")
_ASSIGNMENT = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)

REFERENCES = [(match[1], match[2], match[3]) for match in _REFERENCE.finditer(TEXT)]
VALUES = dict(_ASSIGNMENT.findall((ROOT / ".env-dev").read_text(encoding="utf-8")))


ALONE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/service-alone.yml").read_text(encoding="utf-8"))

NOT_IN_ENV = {
    "http_host": "the container's own: the port is published on 127.0.0.1",
    "http_port": "the container's own: REPLICATOR_PORT is where it is published",
    "compiled": "the image has the compiled path, or says while it is built that it has not",
}
"""Settings of the service that .env does not have, each with the reason."""


def is_secret(variable: str) -> bool:
    return variable.endswith(("_PASSWORD", "_SECRET", "_KEY", "_LOGIN"))


def test_both_files_name_the_same_variables() -> None:
    assert {name for name, _, _ in REFERENCES} == set(VALUES)


def test_a_missing_secret_stops_the_start_and_anything_else_has_a_default() -> None:
    for name, operator, _ in REFERENCES:
        assert operator == (":?" if is_secret(name) else ":-"), name


def test_defaults_are_those_of_the_development_file() -> None:
    assert {name: value for name, operator, value in REFERENCES if operator == ":-"} == {
        name: value for name, value in VALUES.items() if not is_secret(name)
    }


def test_every_variable_is_explained_in_one_line() -> None:
    lines = (ROOT / ".env-dev").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if _ASSIGNMENT.match(line):
            assert lines[number - 1].startswith("# "), line


def test_development_secrets_are_as_the_scripts_demand() -> None:
    fernet = VALUES["AIRFLOW_FERNET_KEY"]
    secrets = [VALUES[name] for name in VALUES if is_secret(name) and VALUES[name] != fernet]
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]+", secret) for secret in secrets)
    assert len(VALUES["AIRFLOW_JWT_SECRET"]) >= 64


def test_no_value_of_the_compose_file_is_a_secret() -> None:
    assert not [name for name, value in VALUES.items() if is_secret(name) and len(value) > 8 and value in TEXT]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded_and_starts_in_order(name: str) -> None:
    service = SERVICES[name]
    assert service["init"] is True
    assert service["mem_limit"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("no" if name in STEPS else "unless-stopped")
    for other, after in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in STEPS else "service_healthy"
        assert after["condition"] == wanted, other


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_every_server_is_watched_and_stopped_patiently(name: str) -> None:
    service = SERVICES[name]
    assert service["stop_grace_period"]
    assert service["cpus"]
    assert name == "replicator" or "healthcheck" in service, "the service's image has a health check of its own"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned(name: str) -> None:
    assert re.search(r":v?\d+(\.\d+)+$", default_of(SERVICES[name]["image"]))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_published_image_can_be_replaced_in_env_and_ours_is_never_pulled(name: str) -> None:
    service = SERVICES[name]
    if service["image"].startswith("${"):
        assert re.match(r"\$\{[A-Z]+_IMAGE:-", service["image"])
        assert "pull_policy" not in service
    else:
        assert service["image"].startswith("mongo-pg-replicator/")
        assert service["pull_policy"] == "never"


def test_the_images_that_ours_are_built_on_are_those_of_their_dockerfiles() -> None:
    for name, argument in (("replicator", "PYTHON_IMAGE"), ("airflow-init", "AIRFLOW_IMAGE")):
        build = SERVICES[name]["build"]
        dockerfile = (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
        assert f"\nARG {argument}={default_of(build['args'][argument])}\n" in dockerfile


def default_of(value: str) -> str:
    """What a value is with nothing in the environment."""
    return _REFERENCE.sub(lambda match: match[3], value)


def test_alerts_go_to_the_receiver_of_env_and_to_nobody_without_one(tmp_path: Path) -> None:
    started = tmp_path / "alertmanager"
    started.write_text('#!/bin/sh\ncat "${1#--config.file=}"\n', encoding="utf-8")
    started.chmod(0o755)
    script = (ROOT / "deploy/monitoring/alertmanager.sh").read_text(encoding="utf-8")
    script = script.replace("/tmp/", f"{tmp_path}/").replace("/start/", f"{ROOT}/deploy/monitoring/")  # noqa: S108 - a path within the container
    for address, receiver in (("http://hooks.example/1", "webhook"), ("", "nobody")):
        environ = {"PATH": os.defpath, "ALERTMANAGER": str(started), "ALERT_WEBHOOK_URL": address}
        command = [shutil.which("sh") or "sh", "-c", script]
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        configuration = yaml.safe_load(ran.stdout)
        assert configuration["route"]["receiver"] == receiver
        assert receiver in {each["name"] for each in configuration["receivers"]}
        assert (tmp_path / "webhook-url").read_text(encoding="utf-8") == address


def test_published_ports_are_this_machines_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 7
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_mounted_from_the_repository_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    sources = {mount.split(":")[0] for mount in mounts if mount.startswith("./")}
    # Docker makes the directory of the logs.
    missing = {source for source in sources - {"./airflow/logs"} if not (ROOT / source).exists()}
    assert missing == set()
    assert {"./airflow/dags", "./airflow/logs"} <= sources, "as the users of the project know them"


def test_the_service_needs_no_privileges() -> None:
    service = SERVICES["replicator"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_health_checks_of_airflow_name_components_that_there_are() -> None:
    asked = [
        service["healthcheck"]["test"][-1]
        for name, service in SERVICES.items()
        if name.startswith("airflow-")
        if "component_health" in str(service.get("healthcheck"))
    ]
    assert sorted(asked) == sorted(COMPONENTS)


def test_only_monitoring_and_workers_are_optional() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {
        "prometheus": ["monitoring"],
        "alertmanager": ["monitoring"],
        "grafana": ["monitoring"],
        "airflow-redis": ["workers"],
        "airflow-worker": ["workers"],
    }


def test_workers_know_what_the_other_parts_of_airflow_know() -> None:
    worker, scheduler = SERVICES["airflow-worker"], SERVICES["airflow-scheduler"]
    assert worker["image"] == scheduler["image"]
    assert worker["environment"] == scheduler["environment"]
    assert "ports" not in worker


def test_redis_reads_its_password_from_no_command_line() -> None:
    (script,) = SERVICES["airflow-redis"]["command"]
    assert "AIRFLOW_REDIS_PASSWORD" not in script
    assert "requirepass $$REDISCLI_AUTH" in script


def test_the_service_alone_reads_its_addresses_from_files_and_is_locked_in_as_ever() -> None:
    alone, usual = ALONE["services"]["replicator"], SERVICES["replicator"]
    assert sorted(ALONE["secrets"]) == sorted(alone["secrets"])
    files = {value for value in alone["environment"].values() if value.startswith("/run/")}
    assert files == {f"/run/secrets/{name}" for name in alone["secrets"]}
    assert not {"REPLICATOR_MONGO_URI", "REPLICATOR_POSTGRES_DSN"} & alone["environment"].keys()
    for kept in (
        "image",
        "pull_policy",
        "init",
        "read_only",
        "tmpfs",
        "cap_drop",
        "security_opt",
        "mem_limit",
        "restart",
    ):
        assert alone[kept] == usual[kept], kept
    assert alone["build"]["args"] == usual["build"]["args"]


def variables_of(setting: str) -> set[str]:
    return {PREFIX + setting.upper(), PREFIX + setting.upper() + "_FILE"}


@pytest.mark.parametrize("file", [FILE, ALONE], ids=["whole", "alone"])
def test_every_setting_of_the_service_can_be_set_without_touching_the_file(file: dict[str, Any]) -> None:
    given = file["services"]["replicator"]["environment"]
    settable = {name for name, value in given.items() if _REFERENCE.search(value) or value.startswith("/run/secrets/")}
    left_out = {setting for setting in Settings.model_fields if not variables_of(setting) & settable}
    assert left_out == NOT_IN_ENV.keys()
    assert PREFIX + "MASK_KEY" not in given, "a file alone: whoever may inspect the container would see it"
    assert {name.removesuffix("_FILE").removeprefix(PREFIX).lower() for name in given} <= Settings.model_fields.keys()


@pytest.mark.parametrize("file", [FILE, ALONE], ids=["whole", "alone"])
def test_with_nothing_said_the_service_has_its_own_defaults(file: dict[str, Any], tmp_path: Path) -> None:
    address = tmp_path / "address"
    address.write_text("mongodb://host/", encoding="utf-8")
    environ = {
        name: str(address) if value.startswith("/run/secrets/") else default_of(value)
        for name, value in file["services"]["replicator"]["environment"].items()
    }
    if file is ALONE:
        environ |= {"REPLICATOR_MONGO_DATABASE": "origin", "REPLICATOR_POSTGRES_DSN_FILE": ""}
        environ |= {"REPLICATOR_POSTGRES_DSN": "postgresql://host/destination"}
    settings = load_settings(environ)
    others = {"mongo_uri", "mongo_database", "postgres_dsn", "mapping", "http_host", "airflow_url"}
    changed = {
        name
        for name, field in Settings.model_fields.items()
        if name not in others and getattr(settings, name) != field.default
    }
    assert changed == set()


def test_the_proof_of_airflow_reads_through_the_masks_of_the_service() -> None:
    ours, airflows = SERVICES["replicator"], SERVICES["airflow-scheduler"]
    for name in ("REPLICATOR_MASK_KEY_FILE", "REPLICATOR_READ_FROM", "REPLICATOR_MAPPING"):
        assert airflows["environment"][name] == ours["environment"][name]
    assert "./deploy/secrets/files:/files:ro" in ours["volumes"]
    assert "./deploy/secrets/files:/files:ro" in airflows["volumes"]
