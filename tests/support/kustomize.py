"""What Kustomize makes of a directory, as far as `deploy/kubernetes` uses it: no patches, no selectors, no hashes.

The real program need not be installed. Where it is, a test compares.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

Resource = dict[str, Any]

_KNOWN = frozenset(
    {"apiVersion", "kind", "resources", "components", "namespace", "labels", "images"}
    | {"configMapGenerator", "secretGenerator"}
)


def render(directory: Path) -> list[Resource]:
    """Return the resources of a kustomization. Generated names stay as they are written, without the hash."""
    resources: list[Resource] = []
    _add(directory, resources)
    return resources


def resource(resources: list[Resource], kind: str, name: str = "replicator") -> Resource:
    """The one resource of this kind and name."""
    (found,) = [each for each in resources if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def _add(directory: Path, resources: list[Resource]) -> None:
    """Add to, and change, what has been gathered so far: components see the resources before them, bases do not."""
    wanted: dict[str, Any] = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    assert wanted.keys() <= _KNOWN, f"{directory}: {wanted.keys() - _KNOWN} is not understood here"
    own = resources if wanted["kind"] == "Component" else []
    for name in wanted.get("resources", []):
        path = directory / name
        if path.is_dir():
            _add(path, own)
        else:
            own.extend(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    for name in wanted.get("components", []):
        _add(directory / name, own)
    for each in wanted.get("configMapGenerator", []):
        _generate("ConfigMap", each, _pairs(directory, each), own)
    for each in wanted.get("secretGenerator", []):
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in _pairs(directory, each).items()}
        _generate("Secret", each, coded, own)
    for each in own:
        _transform(each, wanted)
    if own is not resources:
        resources.extend(own)


def _pairs(directory: Path, generator: dict[str, Any]) -> dict[str, str]:
    pairs = dict(literal.split("=", 1) for literal in generator.get("literals", []))
    for file in generator.get("files", []):
        key, _, name = file.rpartition("=")
        path = (directory / name).resolve()
        assert path.is_relative_to(directory.resolve()), f"Kustomize reads no file from outside {directory}: {name}"
        pairs[key or path.name] = path.read_text(encoding="utf-8")
    return pairs


def _generate(kind: str, generator: dict[str, Any], data: dict[str, str], resources: list[Resource]) -> None:
    if generator.get("behavior") == "merge":
        resource(resources, kind, generator["name"])["data"] |= data
        return
    kept = {"type": "Opaque"} if kind == "Secret" else {}
    resources.append({"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}, "data": data, **kept})


def _transform(each: Resource, wanted: dict[str, Any]) -> None:
    for labels in wanted.get("labels", []):
        each["metadata"].setdefault("labels", {}).update(labels["pairs"])
    if "namespace" in wanted and each["kind"] != "Namespace":
        each["metadata"]["namespace"] = wanted["namespace"]
    containers = each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    for image in wanted.get("images", []):
        for container in containers:
            if container["image"].split(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
