"""Small programs that run in a pod of the platform, in the workloads' own image, and say what they saw."""

import json
import textwrap
from typing import Any

import client
from client import Platform, outputs
from workloads import pods
from workloads.common import LOAD_RECORD

EXPERIMENT = "probes"
"""In MLflow."""


def ingest_record(platform: Platform) -> dict[str, Any]:
    """What the last load of the flights left beside the data."""
    body = platform.s3().get_object(Bucket=platform.access["S3_BUCKET"], Key=LOAD_RECORD)["Body"].read()
    record: dict[str, Any] = json.loads(body)
    return record


def workload_image(platform: Platform) -> str:
    """The image that the last load ran in: it is there, so a probe can use it too."""
    return str(ingest_record(platform)["image"])


def experiment(mlflow: Any) -> str:
    """The id of the experiment where proofs log their runs."""
    known = mlflow.get_experiment_by_name(EXPERIMENT)
    return str(known.experiment_id if known else mlflow.create_experiment(EXPERIMENT))


def run(platform: Platform, name: str, script: str, **options: Any) -> dict[str, Any]:
    """Run `script` in a pod; it prints one line of JSON, which is returned."""
    found = client.deploy(
        platform, name, [job(workload_image(platform), name, script, **options)], deadline=180
    )
    client.delete_workloads(platform, name)
    return next(iter(found[name].messages.values()))


def job(
    image: str,
    name: str,
    script: str,
    *,
    volume: str | None = None,
    resources: dict[str, str] | None = None,
    tolerations: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A Job with one pod that runs the Python `script` and leaves what it prints as its message."""
    main = pods.container(image, "-", [], cpu="20m", memory="64Mi", memory_limit="256Mi")
    main["command"] = ["sh", "-c", 'python3 -c "$SCRIPT" > /dev/termination-log']
    main["env"].append({"name": "SCRIPT", "value": textwrap.dedent(script)})
    if resources:
        main["resources"]["limits"].update(resources)
    template = pods.pod(name, main, **({"tolerations": tolerations} if tolerations else {}))
    if volume:
        main["volumeMounts"].append({"name": "data", "mountPath": "/data"})
        template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": volume}})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": outputs.NAMESPACE_WORKLOADS,
            "labels": pods.labels(name),
        },
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": 150, "template": template},
    }
