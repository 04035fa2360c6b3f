"""How the client reaches the platform from a pod: by names of Services and with the pod's account."""

from pathlib import Path
from typing import Any

import pytest
from kubernetes import config as k8s_config

from client import models, objects, outputs, warming
from client.errors import ClientError
from client.inside import Inside
from client.progress import Silent


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Kubernetes puts into a pod with an account; the folder of its files."""
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_text("an authority")
    loader = k8s_config.incluster_config
    monkeypatch.setattr(loader, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(loader, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("kubernetes.client.rest.RESTClientObject", lambda _: None)
    for name, value in {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_a_pod_shows_its_account_and_a_new_token_once_there_is_one(pod: Path) -> None:
    platform = Inside.of_this_pod()
    assert platform.api.configuration.host == "https://10.0.0.1:443"
    assert objects.bearer(platform.api) == "bearer first"
    (pod / "token").write_text("second")
    hook = platform.api.configuration.refresh_api_key_hook
    hook.__closure__[0].cell_contents.token_expires_at = k8s_config.incluster_config.datetime.datetime.min
    assert objects.bearer(platform.api) == "bearer second"


def test_what_is_no_pod_is_told_so(pod: Path) -> None:
    (pod / "token").unlink()
    with pytest.raises(ClientError, match="no account of a cluster: Service token file does not exist"):
        Inside.of_this_pod()


def test_services_are_reached_by_their_names_and_nothing_is_forwarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMETHEUS_URL", "http://prometheus.platform-monitoring.svc.cluster.local:9090")
    platform = Inside(None, "test")
    assert platform.local("PROMETHEUS_URL").netloc == "prometheus.platform-monitoring.svc.cluster.local:9090"
    assert platform.address("workloads", "delay-v3-predictor", 80) == (
        "delay-v3-predictor.workloads.svc.cluster.local:80"
    )
    with pytest.raises(ClientError, match="no port-forwards in a pod"):
        platform.forward("workloads", "delay-v3-predictor", 80)
    with pytest.raises(ClientError, match="environment variable GATEWAY_URL is not set"):
        platform.local("GATEWAY_URL")


def test_a_version_is_asked_by_the_name_of_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = warming.httpx.Client

    def client(base_url: str, **more: Any) -> Any:
        asked.append(base_url)
        return real(base_url=base_url, **more)

    monkeypatch.setattr(warming, "require_ready", lambda *_: None)
    monkeypatch.setattr(models, "example", lambda *_: {})
    monkeypatch.setattr(warming, "_ask", lambda *_: None)
    monkeypatch.setattr(warming.httpx, "Client", client)
    warming.require_answering(Inside(None, "test"), "delay", "3", Silent())
    assert asked == [f"http://delay-v3-predictor.{outputs.NAMESPACE_WORKLOADS}.svc.cluster.local:80"]
