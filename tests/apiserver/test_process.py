"""The plugin as a process: how it starts, stops and is cancelled."""

import signal
import subprocess
import sys

import psutil
import pytest

from client.waiting import until
from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.manifests import POD, config_map, pod
from tests.apiserver.plugin import ROOT, Plugin, Refused, command, urn_of


def test_it_says_its_version(plugin: Plugin) -> None:
    assert plugin.version().removeprefix("v") == "4.34.2"


def test_a_cancelled_wait_keeps_what_was_made(plane: ControlPlane, cluster: Cluster, namespace: str) -> None:
    with Plugin({"kubeconfig": str(plane.kubeconfig)}) as plugin:
        creating = plugin.meanwhile(plugin.create, POD, pod(namespace))
        cluster.first_pod(namespace, "app=single")
        plugin.cancel()
        with pytest.raises(Refused) as refused:
            creating.result()
        assert refused.value.state is not None
        assert refused.value.id == f"{namespace}/single"


def test_an_interrupt_ends_it_without_a_word(plane: ControlPlane, cluster: Cluster, namespace: str) -> None:
    with Plugin({"kubeconfig": str(plane.kubeconfig)}) as plugin:
        creating = plugin.meanwhile(plugin.create, POD, pod(namespace))
        cluster.first_pod(namespace, "app=single")
        plugin.process.send_signal(signal.SIGINT)
        with pytest.raises(Refused):
            creating.result()
        assert plugin.process.wait(10) == 0
        assert plugin.process.stderr is not None
        assert plugin.process.stderr.read() == ""


def test_it_ends_with_the_process_that_started_it() -> None:
    """A parent that prints the plugin's port and pid and waits; killing it must end the plugin."""
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen({[*command(), '127.0.0.1:1']!r}, stdout=subprocess.PIPE, text=True)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    with parent.stdout:
        started = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait(10)
    try:
        until(lambda: ended(started), "the plugin to end", 10)
    finally:
        if not ended(started):
            started.kill()


def ended(process: psutil.Process) -> bool:
    """Whoever inherits a process may be slow to take its exit code: until then it is a zombie."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:helm.sh/v3:Chart",
        "kubernetes:yaml:ConfigFile",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:kustomize/v2:Directory",
    ],
)
def test_what_only_the_vendor_s_plugin_can_do_is_refused_with_the_reason(plugin: Plugin, token: str) -> None:
    with pytest.raises(Refused, match="vendor"):
        plugin.check(urn_of(token, "a"), {})


def test_the_protocol_s_errors_have_no_traceback(plugin: Plugin) -> None:
    with pytest.raises(Refused) as refused:
        plugin.check(urn_of("kubernetes:core/v1:ConfigMapList", "a"), config_map("default"))
    assert "Traceback" not in refused.value.text
