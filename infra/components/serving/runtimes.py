"""Our ClusterServingRuntime: how an MLflow model is run that an InferenceService names."""

from typing import Any

from infra import kube

API = "serving.kserve.io/v1alpha1"
UID = 10001
_HTTP, _GRPC = 8080, 8081
_FOLDER = "/mnt/models"
"""Where KServe's storage initializer puts a model."""


def mlflow(name: str) -> kube.Manifest:
    """The image is the InferenceService's own (`spec.predictor.model.image`): a version that is served does
    not change when the platform does. So are the arguments that tell name and version, after these.
    """
    spec = {
        "supportedModelFormats": [{"name": "mlflow", "version": "3", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1", "v2", "grpc-v2"],
        "containers": [_container()],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return kube.object_of(API, "ClusterServingRuntime", kube.metadata(name, component="serving"), spec)


def _container() -> dict[str, Any]:
    return {
        # KServe knows the container that is to be served from by this name.
        "name": "kserve-container",
        "args": ["--name={{.Name}}", f"--folder={_FOLDER}", f"--http-port={_HTTP}", f"--grpc-port={_GRPC}"],
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "HOME", "value": "/tmp"}],
        # The Service gets the first as port 80; `grpc` makes proxies speak HTTP/2 to the second.
        "ports": [
            {"name": "http", "containerPort": _HTTP, "protocol": "TCP"},
            {"name": "grpc", "containerPort": _GRPC, "protocol": "TCP"},
        ],
        "securityContext": {
            **kube.RESTRICTED_CONTAINER,
            **kube.RESTRICTED_POD,
            "runAsUser": UID,
            "readOnlyRootFilesystem": True,
        },
        # An import of PyTorch takes a while on a machine at work.
        "startupProbe": _answers("/v2/health/ready", periodSeconds=1, failureThreshold=180),
        "readinessProbe": _answers("/v2/health/ready", periodSeconds=2, failureThreshold=2),
        "livenessProbe": _answers("/v2/health/live", periodSeconds=10, failureThreshold=6),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _answers(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": _HTTP}, "timeoutSeconds": 5, **timing}
