"""The deployment examples name ports, paths, settings and users that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "examples" / "deploy" / "c2vl-serve.service"
MANIFEST = ROOT / "examples" / "deploy" / "kubernetes.yaml"
SETTINGS = {f"C2VL_{name.upper()}" for name in ServiceSettings.model_fields}


def objects() -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}


def container() -> dict[str, Any]:
    (found,) = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


def test_settings_exist() -> None:
    named = set(re.findall(r"C2VL_[A-Z_]+", UNIT.read_text() + MANIFEST.read_text()))
    assert named
    assert named <= SETTINGS


def test_probes_ask_what_is_there_on_the_port_that_listens() -> None:
    routes = create_app(ServiceSettings(pose_workers=0)).openapi()["paths"]
    (port,) = container()["ports"]
    dockerfile = (ROOT / "docker" / "Dockerfile.cpu").read_text()
    assert f"EXPOSE {port['containerPort']}\n" in dockerfile
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container()[probe]["httpGet"]
        assert asked["path"] in routes
        assert asked["port"] == port["name"]
    assert container()["livenessProbe"]["httpGet"]["path"] == "/health/live"
    annotations = objects()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in routes
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


def test_the_container_is_locked_down_as_the_image_is_made() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}\n" in (ROOT / "docker" / "Dockerfile.cpu").read_text()
    assert pod["securityContext"]["runAsNonRoot"]
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(container()["resources"]["limits"])
    mounted = {mount["name"] for mount in container()["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_labels_lead_from_the_service_to_its_pods() -> None:
    found = objects()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_stopping_takes_longer_than_requests_in_progress_have() -> None:
    settings = ServiceSettings(_env_file=None)
    stop = re.search(r"TimeoutStopSec=(\d+)", UNIT.read_text())
    assert stop
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    for seconds in (int(stop[1]), pod["terminationGracePeriodSeconds"]):
        assert seconds > settings.drain_seconds + settings.finish_seconds


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # The program need not be installed for the unit to be judged.
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    if "Failed to" in done.stderr and "manager" in done.stderr:
        pytest.skip("systemd-analyze cannot run here")
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr
