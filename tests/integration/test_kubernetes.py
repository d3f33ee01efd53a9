"""The Kubernetes manifests: valid, consistent with each other and with the service, and enough for it to run."""

from __future__ import annotations

import base64
import re
import shutil
import signal
import subprocess
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]  # the package has no types
import pytest
import yaml

from deploy import release
from replicator_service.cli.run import DRAIN_SECONDS
from replicator_service.configuration.environment import PREFIX
from replicator_service.configuration.settings import Settings
from tests.support.kustomize import Resource, render, resource
from tests.support.processes import Operator, RunningService
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.databases import Sink, Source

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
EXAMPLE = KUBERNETES / "overlays" / "example"
OLDEST, NEWEST = "1.27", "1.37"
OF_OPERATORS = "monitoring.coreos.com/v1"


@pytest.fixture
def resources() -> list[Resource]:
    return render(EXAMPLE)


@pytest.fixture
def pod(resources: list[Resource]) -> dict[str, Any]:
    found: dict[str, Any] = resource(resources, "Deployment")["spec"]["template"]
    return found


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def settings(resources: list[Resource]) -> dict[str, str]:
    found: dict[str, str] = resource(resources, "ConfigMap", "replicator-settings")["data"]
    return found


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_every_resource_is_valid_and_has_no_unknown_field(resources: list[Resource], release: str) -> None:
    for each in resources:
        if each["apiVersion"] != OF_OPERATORS:
            assert kubernetes_validate.validate(each, release, strict=True) == release


@pytest.mark.parametrize("directory", [KUBERNETES / "base", EXAMPLE], ids=["base", "example"])
def test_kustomize_understands_the_manifests_as_these_tests_do(directory: Path) -> None:
    command = _kustomize()
    if command is None:
        pytest.skip("neither kustomize nor kubectl is installed: only these tests' own reading was checked")
    done = subprocess.run([*command, str(directory)], capture_output=True, text=True, timeout=30, check=True)
    hashed = re.compile(r"\b(replicator-(?:settings|addresses|mapping))-[a-z0-9]{10}\b")
    assert _by_name(yaml.safe_load_all(hashed.sub(r"\1", done.stdout))) == _by_name(render(directory))


def test_everything_that_selects_pods_selects_these(resources: list[Resource], pod: dict[str, Any]) -> None:
    labels = pod["metadata"]["labels"]
    assert resource(resources, "Deployment")["spec"]["selector"] == {"matchLabels": labels}
    assert resource(resources, "PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": labels}
    assert resource(resources, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": labels}
    assert resource(resources, "Service")["spec"]["selector"] == labels
    spread = pod["spec"]["topologySpreadConstraints"]
    assert [each["labelSelector"] for each in spread] == [{"matchLabels": labels}] * 2


def test_metrics_are_found_and_let_through(resources: list[Resource], settings: dict[str, str]) -> None:
    service = resource(resources, "Service")
    monitor = resource(resources, "ServiceMonitor")["spec"]
    assert service["metadata"]["labels"].items() >= monitor["selector"]["matchLabels"].items()
    (endpoint,), (port,) = monitor["endpoints"], service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    (ingress,) = resource(resources, "NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in ingress["ports"]] == [int(settings["REPLICATOR_HTTP_PORT"])]


def test_the_alerts_are_those_of_compose_and_find_their_job(resources: list[Resource]) -> None:
    alerts = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text(encoding="utf-8"))
    rule = resource(resources, "PrometheusRule")["spec"]
    assert rule == alerts, "bring prometheus-rule.yaml up to date as its first lines say"
    # Without a jobLabel, the Prometheus Operator names the job after the Service.
    assert "jobLabel" not in resource(resources, "ServiceMonitor")["spec"]
    jobs = set(re.findall('job="([^"]+)"', str(alerts)))
    assert jobs == {resource(resources, "Service")["metadata"]["name"]}


def test_the_policy_lets_the_service_reach_its_servers_and_names(resources: list[Resource]) -> None:
    policy = resource(resources, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {53, 27017, 5432, 5433}


def test_the_policy_names_the_ports_of_the_example_addresses(resources: list[Resource]) -> None:
    policy = resource(resources, "NetworkPolicy")["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    for address in _addresses(resources).values():
        assert {int(port) for port in re.findall(r":(\d+)", address)} <= ports


def test_the_pods_keep_to_the_restricted_standard(pod: dict[str, Any], container: dict[str, Any]) -> None:
    whole, own = pod["spec"]["securityContext"], container["securityContext"]
    assert whole["runAsNonRoot"]
    assert whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_variables_of_services_cannot_pass_for_settings(pod: dict[str, Any]) -> None:
    assert pod["spec"]["enableServiceLinks"] is False


def test_the_settings_are_settings_of_the_service(settings: dict[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert {name.removesuffix("_FILE") for name in settings} <= known


def test_every_setting_can_be_given_by_an_overlay(container: dict[str, Any], pod: dict[str, Any]) -> None:
    assert container["envFrom"] == [{"configMapRef": {"name": "replicator-settings"}}]
    # And every key of the Secret is a file beside the addresses.
    (secret,) = [each["secret"] for each in pod["spec"]["volumes"] if "secret" in each]
    assert "items" not in secret


@pytest.mark.parametrize("name", ["mask-key", "webhook"])
def test_components_name_a_file_beside_the_addresses(
    name: str, settings: dict[str, str], container: dict[str, Any], tmp_path: Path
) -> None:
    whole = {"kind": "Kustomization", "resources": [str(KUBERNETES / "base")]}
    whole["components"] = [str(KUBERNETES / "components" / name)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    resources = render(tmp_path)
    for each in resources:
        assert kubernetes_validate.validate(each, NEWEST, strict=True) == NEWEST
    added = resource(resources, "ConfigMap", "replicator-settings")["data"].items() - settings.items()
    ((variable, file),) = added
    setting = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
    assert setting in Settings.model_fields
    (place,) = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "addresses"]
    assert file.startswith(f"{place}/")
    example = (EXAMPLE / "kustomization.yaml").read_text(encoding="utf-8")
    assert f"# - ../../components/{name}\n" in example
    assert f"# - secrets/{file.removeprefix(place + '/')}\n" in example


def test_the_webhook_is_let_out_besides_the_servers(pod: dict[str, Any]) -> None:
    (policy,) = yaml.safe_load_all(
        (KUBERNETES / "components" / "webhook" / "network-policy.yaml").read_text(encoding="utf-8")
    )
    assert policy["spec"]["podSelector"] == {"matchLabels": pod["metadata"]["labels"]}
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert policy["spec"]["egress"] == [{"ports": [{"port": 443}]}]


def test_a_pod_has_the_time_to_drain(pod: dict[str, Any]) -> None:
    assert pod["spec"]["terminationGracePeriodSeconds"] >= DRAIN_SECONDS + 3


def test_the_addresses_of_the_example_are_placeholders(resources: list[Resource]) -> None:
    for address in _addresses(resources).values():
        assert "://USER:PASSWORD@" in address
        assert all(host.endswith(".example.com") for host in re.findall(r"[@,]([a-z0-9.-]+)", address))


def test_the_image_is_that_of_the_dockerfile_in_this_version(container: dict[str, Any], pod: dict[str, Any]) -> None:
    dockerfile = (ROOT / "replicator_service" / "Dockerfile").read_text(encoding="utf-8")
    deployment = resource(render(KUBERNETES / "base"), "Deployment")
    (own,) = deployment["spec"]["template"]["spec"]["containers"]
    assert f"--tag {own['image']} " in dockerfile
    assert own["image"].endswith(f":{release.version()}")
    assert container["image"].startswith("registry.example.com/")
    whole = pod["spec"]["securityContext"]
    assert f"USER {whole['runAsUser']}:{whole['runAsGroup']}" in dockerfile
    assert 'ENTRYPOINT ["replicator"]' in dockerfile
    assert container["args"] == ["run"]


def test_pods_of_the_manifest_run_and_hand_over(
    resources: list[Resource],
    container: dict[str, Any],
    pod: dict[str, Any],
    source: Source,
    sink: Sink,
    tmp_path: Path,
) -> None:
    addresses = dict.fromkeys(_addresses(resources), "")
    addresses |= {"mongo-uri": f"{source.uri}\n", "postgres-dsn": f"{sink.dsn}\n"}
    mapping = resource(resources, "ConfigMap", "replicator-mapping")["data"]
    environ = _environ(resources, container, pod, {"addresses": addresses, "mapping": mapping}, tmp_path)
    source.db.UserSessions.insert_one({"_id": 1})
    operator = Operator({**environ, "REPLICATOR_MONGO_DATABASE": source.name, "REPLICATOR_HTTP_PORT": "0"}, tmp_path)
    with operator.running() as leader:
        leader.wait_for_state("streaming")
        with operator.running() as standby:
            standby.wait_for_state("standby")
            for service in (leader, standby):
                _wait_for_probes(service, container)
            grace = pod["spec"]["terminationGracePeriodSeconds"]
            assert leader.end(signal.SIGTERM, timeout=grace) == 0
            standby.wait_for_state("streaming", timeout=grace)
            _wait_for_probes(standby, container)
            assert standby.status()["collections"]["UserSessions"]["table"].endswith("user_sessions")


def test_the_guide_names_what_is_there() -> None:
    guide = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text(encoding="utf-8")
    # The reader's own overlay is a copy of the example.
    guide = guide.replace("overlays/mine", "overlays/example")
    for path in re.findall(r"`((?:base|components|overlays)/[\w./-]*|deploy/kubernetes[\w./-]*)`", guide):
        assert (ROOT / path).exists() or (KUBERNETES / path).exists(), path
    for path in re.findall(r"(?:kustomize|-k|-f) ((?:deploy|replicator_service)/\S+)", guide):
        assert (ROOT / path).exists(), path
    images = set(re.findall(r"registry\.example\.com/\S+", guide))
    (container,) = resource(render(EXAMPLE), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert images == {container["image"]}
    assert f"Kubernetes {OLDEST} and {NEWEST}" in guide


def _wait_for_probes(service: RunningService, container: dict[str, Any]) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = str(container[probe]["httpGet"]["path"])
        wait_until(partial(_answers, service, path), timeout=20, message=f"{path} to answer 200")


def _answers(service: RunningService, path: str) -> bool:
    return service.get(path)[0] == 200


def _environ(
    resources: list[Resource],
    container: dict[str, Any],
    pod: dict[str, Any],
    contents: dict[str, dict[str, str]],
    root: Path,
) -> dict[str, str]:
    """The environment of the container, with its volumes in a directory instead of under `/`."""
    environ: dict[str, str] = {}
    for each in container["envFrom"]:
        environ |= resource(resources, "ConfigMap", each["configMapRef"]["name"])["data"]
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == contents.keys()
    for mount in container["volumeMounts"]:
        directory = root / mount["mountPath"].lstrip("/")
        directory.mkdir(parents=True)
        for name, content in contents[mount["name"]].items():
            (directory / name).write_text(content, encoding="utf-8")
        environ = {name: value.replace(mount["mountPath"], str(directory)) for name, value in environ.items()}
    return environ


def _addresses(resources: list[Resource]) -> dict[str, str]:
    data = resource(resources, "Secret", "replicator-addresses")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _kustomize() -> list[str] | None:
    if found := shutil.which("kustomize"):
        return [found, "build"]
    found = shutil.which("kubectl")
    return [found, "kustomize"] if found else None


def _by_name(resources: Iterable[Resource]) -> dict[tuple[str, str], Resource]:
    """Resources without differences of form: their order, and that Kustomize breaks base64 into lines."""
    named = {(each["kind"], each["metadata"]["name"]): each for each in resources}
    for (kind, _), each in named.items():
        if kind == "Secret":
            each["data"] = {key: "".join(value.split()) for key, value in each["data"].items()}
    return named


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_the_pod_of_an_airflow_task_is_valid_and_without_privileges(release: str) -> None:
    pod = yaml.safe_load((KUBERNETES / "airflow" / "pod-template.yaml").read_text(encoding="utf-8"))
    assert kubernetes_validate.validate(pod, release, strict=True) == release
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "base", "the executor looks for it"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container["resources"]["limits"]
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["spec"]["volumes"]}
    assert all("emptyDir" in each for each in pod["spec"]["volumes"]), "tasks share no folder"


def test_the_values_of_airflows_chart_run_tasks_in_pods_of_the_same_image() -> None:
    directory = KUBERNETES / "airflow"
    values = yaml.safe_load((directory / "values.yaml").read_text(encoding="utf-8"))
    (container,) = yaml.safe_load((directory / "pod-template.yaml").read_text(encoding="utf-8"))["spec"]["containers"]
    assert values["executor"] == "KubernetesExecutor"
    assert values["airflowVersion"] == version("apache-airflow")
    assert container["image"] == f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}"
    told = {each["name"]: each.get("value") for each in container["env"]}
    for each in values["env"]:
        if each["name"].startswith(("REPLICATOR_", "MART_")):
            assert told[each["name"]] == each["value"], "the jobs read it in the pod"
    assert told["AIRFLOW__CORE__FERNET_KEY"] is None, "secrets come from a Secret"
