"""The objects of an MPIJob: workers that wait for orders by ssh, and a launcher that gives them.

The image (recipe `horovod`) has what this names: the user, `start-worker`, which serves ssh as that user on
PORT, and the client's settings. The MPI Operator makes the keys, the list of hosts and the script that says
which are there now.
"""

from typing import Any

from workloads.gang import GPU, GPU_MEMORY
from workloads.pods import container, labels, on_a_node, pod

FORMS = ("MPIJob",)
IMAGE = "workloads-horovod"
HOSTS, DISCOVERY = "/etc/mpi/hostfile", "/etc/mpi/discover_hosts.sh"
"""What the MPI Operator writes for the launcher."""
KEYS = "/opt/worker/.ssh"
PORT = 2222
ROLE = "seatrial.dev/role"


def launched(module: str, arguments: list[str], *, workers: int, slots: int, elastic: bool) -> list[str]:
    """The command of the launcher: `slots` processes of `module` on each worker."""
    program = ["python3", "-m", module, *arguments]
    ranks = str(workers * slots)
    if not elastic:
        return [
            "mpirun", "-np", ranks, "--hostfile", HOSTS,
            "--prtemca", "plm_ssh_args", "-o ConnectionAttempts=10",
            "--prtemca", "prte_keep_fqdn_hostnames", "1",
            # It would bind each rank to a core, and count those of the machine, not of the pod.
            "--bind-to", "none",
            *program,
        ]  # fmt: skip
    return [
        "horovodrun", "--gloo", "-np", ranks, "--min-np", str(slots), "--max-np", ranks,
        "--host-discovery-script", DISCOVERY, "--slots-per-host", str(slots),
        # Else each host is asked for its own.
        "--network-interfaces", "eth0",
        # A host where a process died may come back after so many seconds.
        "--blacklist-cooldown-range", "5", "10",
        *program,
    ]  # fmt: skip


def objects(
    image: str,
    module: str,
    arguments: list[str],
    *,
    name: str,
    workers: int,
    gpus: int = 0,
    elastic: bool = False,
    env: list[dict[str, Any]],
    namespace: str,
    memory: str,
    memory_limit: str,
) -> list[dict[str, Any]]:
    """`module` on `workers` pods of different nodes, one process for each GPU of a pod, else one.

    With `elastic` it goes on with the workers that are left when one is lost, and with those that come back.
    """
    slots = gpus or 1
    worker = container(
        image, "", [], cpu="200m", memory=memory, memory_limit=GPU_MEMORY if gpus else memory_limit
    )
    worker["command"] = ["start-worker"]
    worker["env"] += env
    worker["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    if gpus:
        worker["resources"]["limits"] |= {GPU: str(gpus), "cpu": str(2 * gpus)}
        worker["resources"]["requests"][GPU] = str(gpus)
    # Elastic, it takes the workers that there are.
    met = [] if elastic else ["--hosts", HOSTS, "--port", str(PORT)]
    launcher = container(
        image, "workloads.launch", [*met, "--"], cpu="50m", memory="96Mi", memory_limit="512Mi"
    )
    launcher["env"] += env
    launcher["command"] += launched(module, arguments, workers=workers, slots=slots, elastic=elastic)
    job = {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "slotsPerWorker": slots,
            "sshAuthMountPath": KEYS,
            "mpiImplementation": "OpenMPI",
            "launcherCreationPolicy": "WaitForWorkersReady",
            # A launcher that failed is made anew: the training goes on from its last checkpoint.
            "runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 3, "activeDeadlineSeconds": 1200},
            "mpiReplicaSpecs": {
                "Launcher": _replicas(_template(name, launcher, "launcher"), 1, "Never"),
                "Worker": _replicas(_template(name, worker, "worker", gpus), workers, "OnFailure"),
            },
        },
    }
    return [job]


def _replicas(template: dict[str, Any], count: int, restart: str) -> dict[str, Any]:
    return {"replicas": count, "restartPolicy": restart, "template": template}


def _template(name: str, main: dict[str, Any], role: str, gpus: int = 0) -> dict[str, Any]:
    apart = {"affinity": {"podAntiAffinity": on_a_node({**labels(name), ROLE: role})}}
    made = pod(name, main, **(apart if role == "worker" else {}))
    made["metadata"]["labels"] |= {ROLE: role}
    del made["spec"]["restartPolicy"]  # The replicas' own is said beside the template.
    if gpus:
        made["spec"]["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return made
