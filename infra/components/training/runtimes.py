"""Our ClusterTrainingRuntimes: what a TrainJob that names one gets, as far as it says nothing itself."""

from typing import Any

from infra import kube, outputs
from infra.components.training.settings import RuntimeSettings

API = "trainer.kubeflow.org/v1alpha1"
RESTART_RULES = "spec.template.spec.failurePolicy"
"""Cannot be changed in place: the API server compares old and new."""

_UID = 10001
_NODE = "node"
"""Trainer knows the container and the job that are to be trained in by this name."""
_POD = {"seatrial.dev/training": "node"}
_JOB = "jobset.sigs.k8s.io/jobset-name"
"""Label that JobSet gives the pods of one job."""
_GPU = "nvidia.com/gpu"


def torch(name: str, settings: RuntimeSettings, *, gpu: bool) -> kube.Manifest:
    """PyTorch on several nodes. The image and the command are the TrainJob's own (`spec.trainer`)."""
    job = {
        "name": _NODE,
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {
                "backoffLimit": 0,
                # Only so that JobSet can tell the reason: what would fail again is not made anew.
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {
                                "containerName": _NODE,
                                "operator": "In",
                                "values": [outputs.EXIT_HOPELESS],
                            },
                        }
                    ]
                },
                "template": {"metadata": {"labels": {**kube.PART_OF, **_POD}}, "spec": _pod(settings, gpu)},
            },
        },
    }
    spec = {
        "mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": 1}},
        "template": {
            "spec": {
                "failurePolicy": {
                    "maxRestarts": settings.max_restarts,
                    "rules": [
                        {
                            "name": "hopeless",
                            "action": "FailJobSet",
                            "onJobFailureReasons": ["PodFailurePolicy"],
                        }
                    ],
                },
                "replicatedJobs": [job],
            }
        },
    }
    return kube.object_of(API, "ClusterTrainingRuntime", kube.metadata(name, component="training"), spec)


def tensorflow(name: str, settings: RuntimeSettings) -> kube.Manifest:
    """TensorFlow on several nodes, on their CPUs.

    Trainer has no policy for it. That for PyTorch tells each pod how many there are, which it is and what the
    first is called: of this a training makes its TF_CONFIG.
    """
    return torch(name, settings, gpu=False)


def _pod(settings: RuntimeSettings, gpu: bool) -> dict[str, Any]:
    """Runs once, as nobody in particular: a failed pod is JobSet's to replace, with all others of its job."""
    common = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            **kube.RESTRICTED_POD,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
        },
        "topologySpreadConstraints": [_over_nodes()],
        "containers": [_container(settings, gpu)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    if not gpu:
        return common
    tolerated = {"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}
    # The label keeps nodes without GPUs from being counted as empty ones that a pod should go to.
    return {**common, "nodeSelector": {f"{_GPU}.present": "true"}, "tolerations": [tolerated]}


def _container(settings: RuntimeSettings, gpu: bool) -> dict[str, Any]:
    resources = settings.resources.manifest()
    if gpu:
        resources = {key: {**value, _GPU: "1"} for key, value in resources.items()}
    return {
        "name": _NODE,
        "resources": resources,
        "securityContext": kube.RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _over_nodes() -> dict[str, Any]:
    """Evenly over the nodes that may take them. Pods that a restart is deleting do not count."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": _POD},
        "matchLabelKeys": [_JOB],
    }
