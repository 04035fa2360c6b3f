"""Katib beside Optuna: its controller and database manager, from the manifests of its Go module.

For cloud stacks: its images are not built here.
"""

import json
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, kube, patching, pods
from infra.components.tuning.settings import KatibSettings
from infra.connections import Database
from infra.patching import expect
from infra.releases import Release
from infra.secrets import ComposedSecret, GeneratedSecret
from infra.settings_base import Resources
from infra.upstream import Manifest

INJECTION = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
"""Label of a namespace in which trials run: their pods get a container that reads the objective."""

_WRITTEN_FOR = "kubeflow"
_CONTROLLER, _DB_MANAGER = "katib-controller", "katib-db-manager"
_DATABASE_SECRET = "katib-database"
_UID = 1000
_TRIALS = ["Job.v1.batch", "TrainJob.v1alpha1.trainer.kubeflow.org", "MPIJob.v2beta1.kubeflow.org"]
"""Kinds that may be trials here; Katib's own list has an MPIJob that nobody serves."""
_ALGORITHMS = {
    "suggestion-hyperopt": ("random", "tpe"),
    "suggestion-optuna": ("grid", "multivariate-tpe"),
}
"""What suggests settings, by the image. Early stopping is left out: its container has no security context,
and Pod Security level `restricted` refuses it.
"""
_SUGGESTS = Resources(cpu="50m", memory="256Mi")
_COLLECTS = Resources(cpu="20m", memory="64Mi")


@dataclass(frozen=True, kw_only=True)
class KatibInputs:
    """What other components must hand over."""

    namespace: str
    release: Release
    images: dict[str, str]
    """Name of the image, as in `releases.toml` → reference."""
    database: Database


def register(settings: KatibSettings, inputs: KatibInputs, opts: pulumi.ResourceOptions) -> None:
    """All of Katib; nothing waits for it."""
    objects = charts.render("katib", inputs.release, _patches(settings, inputs))
    first = [each for each in objects if each["kind"] != "Deployment"]
    made = charts.register([*first, _configuration(inputs), *_rights(), _monitor(inputs.namespace)], opts)
    made += [_certificate(inputs.namespace, opts), _password(inputs, opts)]
    after = kube.after(opts, *made)
    charts.register([each for each in objects if each["kind"] == "Deployment"], after)


def _certificate(namespace: str, opts: pulumi.ResourceOptions) -> kube.Object:
    """Empty: Katib fills it itself, and writes its authority into the webhook configurations."""
    return GeneratedSecret(_metadata("katib-webhook-cert", namespace), random=(), opts=opts)


def _password(inputs: KatibInputs, opts: pulumi.ResourceOptions) -> kube.Object:
    metadata = _metadata(_DATABASE_SECRET, inputs.namespace)
    return ComposedSecret(metadata, {"password": inputs.database.password}, opts)


def _configuration(inputs: KatibInputs) -> kube.Manifest:
    """What `--katib-config` names, and what the controller reads of its namespace for each experiment."""
    collector = {"image": inputs.images["file-metrics-collector"], "resources": _COLLECTS.manifest()}
    controller = {
        "webhookPort": 8443,
        # A trial's pod is restricted; so is what is put beside it.
        "injectSecurityContext": True,
        "trialResources": _TRIALS,
    }
    config = {
        "apiVersion": "config.kubeflow.org/v1beta1",
        "kind": "KatibConfig",
        "init": {"certGenerator": {"enable": True}, "controller": controller},
        "runtime": {
            "metricsCollectors": [{"kind": kind, **collector} for kind in ("StdOut", "File")],
            "suggestions": [
                _suggestion(algorithm, inputs.images[image])
                for image, algorithms in _ALGORITHMS.items()
                for algorithm in algorithms
            ],
        },
    }
    data = {"katib-config.yaml": json.dumps(config)}
    metadata = _metadata("katib-config", inputs.namespace)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _suggestion(algorithm: str, image: str) -> dict[str, Any]:
    return {
        "algorithmName": algorithm,
        "image": image,
        "resources": _SUGGESTS.manifest(),
        "securityContext": {**kube.RESTRICTED_CONTAINER, **kube.RESTRICTED_POD, "runAsUser": _UID},
    }


def _monitor(namespace: str) -> kube.Manifest:
    selector = {"katib.kubeflow.org/component": "controller"}
    return pods.service_monitor(_metadata("katib", namespace), selector, {"port": "metrics"})


def _rights() -> list[kube.Manifest]:
    """Who may edit a namespace may search in it: Kubernetes' own roles learn the kinds."""
    read = ["get", "list", "watch"]
    write = [*read, "create", "update", "patch", "delete", "deletecollection"]
    verbs = {"edit": write, "view": read}
    kinds = ["experiments", "suggestions", "trials"]
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": kube.metadata(
                f"seatrial-katib-{role}",
                component="katib",
                labels={f"rbac.authorization.k8s.io/aggregate-to-{role}": "true"},
            ),
            "rules": [{"apiGroups": ["kubeflow.org"], "resources": kinds, "verbs": allowed}],
        }
        for role, allowed in verbs.items()
    ]


def _metadata(name: str, namespace: str) -> dict[str, Any]:
    return kube.metadata(name, namespace, component="katib")


# --- patches ----------------------------------------------------------------------------------------------


def _patches(settings: KatibSettings, inputs: KatibInputs) -> list[patching.Patch]:
    images = (_CONTROLLER, _DB_MANAGER)
    sizes = {_CONTROLLER: settings.controller, _DB_MANAGER: settings.db_manager}
    return [
        patching.into_namespace(_WRITTEN_FOR, inputs.namespace),
        webhooks_of(inputs.namespace),
        patching.use_images({f"ghcr.io/kubeflow/katib/{image}": inputs.images[image] for image in images}),
        sized(sizes),
        keep_observations_in(inputs.database),
    ]


def webhooks_of(namespace: str) -> patching.Patch:
    """They name their Service and its account; and one that is away must not keep pods from starting.

    The namespace of the trials is that of all users' jobs, and every pod in it is shown to Katib. A trial
    that starts while Katib is away counts as failed, since nobody reads its objective.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        found = [hook for each in objects for hook in each.get("webhooks", ())]
        expect(len(found) == 3, "three webhooks")
        for hook in found:
            hook["clientConfig"]["service"]["namespace"] = namespace
            for condition in hook.get("matchConditions", ()):
                account = f"system:serviceaccount:{_WRITTEN_FOR}:{_CONTROLLER}"
                expect(account in condition["expression"], account)
                condition["expression"] = condition["expression"].replace(
                    account, f"system:serviceaccount:{namespace}:{_CONTROLLER}"
                )
        [pods_] = [hook for hook in found if hook["rules"][0]["resources"] == ["pods"]]
        pods_["failurePolicy"] = "Ignore"
        return objects

    return patch


def sized(sizes: dict[str, Resources]) -> patching.Patch:
    """The manifests say nothing of sizes."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        deployments = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Deployment"}
        expect(deployments.keys() == sizes.keys(), f"the Deployments {', '.join(sizes)}")
        for name, each in deployments.items():
            [container] = each["spec"]["template"]["spec"]["containers"]
            container["resources"] = sizes[name].manifest()
        return objects

    return patch


def keep_observations_in(database: Database) -> patching.Patch:
    """The manifests bring a MySQL; here it is a database of the platform's PostgreSQL."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        [manager] = [
            each
            for each in objects
            if each["kind"] == "Deployment" and each["metadata"]["name"] == _DB_MANAGER
        ]
        [container] = manager["spec"]["template"]["spec"]["containers"]
        expect({each["name"] for each in container["env"]} == {"DB_NAME", "DB_PASSWORD"}, "a database")
        container["env"] = [
            *pods.env(
                {
                    "DB_NAME": "postgres",
                    "DB_USER": database.user,
                    "KATIB_POSTGRESQL_DB_HOST": database.host,
                    "KATIB_POSTGRESQL_DB_PORT": str(database.port),
                    "KATIB_POSTGRESQL_DB_DATABASE": database.name,
                }
            ),
            *pods.secret_env({"DB_PASSWORD": (_DATABASE_SECRET, "password")}),
        ]
        return objects

    return patch
