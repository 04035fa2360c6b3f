"""The platform in build order: the only file that knows two components at once."""

from dataclasses import dataclass

import pulumi

from infra import alerts, dashboards, kube, outputs, settings
from infra.components.certificates.component import Certificates, CertificatesInputs
from infra.components.gateway.component import Gateway, GatewayInputs
from infra.components.gateway.settings import WORKLOADS_TENANT
from infra.components.mlflow.component import Mlflow, MlflowInputs
from infra.components.monitoring.component import (
    Monitoring,
    MonitoringInputs,
    MonitoringOperator,
    OperatorInputs,
)
from infra.components.monitoring.exporters import Exporters, ExportersInputs
from infra.components.monitoring.grafana import GrafanaInputs
from infra.components.namespaces.component import Namespaces, NamespacesInputs
from infra.components.object_store.component import ObjectStore, ObjectStoreInputs
from infra.components.postgresql.component import Postgresql, PostgresqlInputs
from infra.components.postgresql.sql import DatabaseWish
from infra.components.queueing.component import Queueing, QueueingInputs
from infra.components.scaling.component import Scaling, ScalingInputs
from infra.components.serving.component import RUNTIME_IMAGES, ModelServing, ModelServingInputs
from infra.components.training.component import Training, TrainingInputs
from infra.components.trino.component import CATALOG_TABLES, Trino, TrinoInputs
from infra.components.tuning import katib
from infra.components.tuning.component import Tuning, TuningInputs
from infra.components.workload_access.component import (
    Serving,
    Studies,
    WorkloadAccess,
    WorkloadAccessInputs,
)
from infra.connections import Database, Login
from infra.controllers import Upstream
from infra.releases import Releases
from infra.settings import PlatformSettings


def build() -> None:
    """Register everything that the selected stack consists of."""
    chosen = settings.of_this_stack(pulumi.get_stack())
    stack = _foundation(chosen)
    monitoring = _monitoring(stack)
    _exporters(stack)
    databases = _databases(stack)
    store = _object_store(stack)
    trino = _trino(stack, databases, store)
    mlflow = _mlflow(stack, databases, store)
    tuning = _tuning(stack, databases) if "tuning" in chosen.parts else None
    certificates = _certificates(stack) if "serving" in chosen.parts else None
    gateway = _gateway(stack, certificates) if certificates else None
    _access(stack, databases, store, trino, mlflow, monitoring, tuning, gateway)
    if "training" in chosen.parts:
        _training(stack)
    if "queueing" in chosen.parts:
        _queueing(stack)
    if certificates is not None:
        _models(stack, certificates)
        _scaling(stack, certificates, monitoring)
    pulumi.export(outputs.OUTPUT_POSTGRESQL_HOST, databases.host)
    pulumi.export(outputs.OUTPUT_OBJECT_STORE_URL, store.store.endpoint)
    pulumi.export(outputs.OUTPUT_TRINO_URL, trino.url)
    pulumi.export(outputs.OUTPUT_MLFLOW_URL, mlflow.url)
    pulumi.export(outputs.OUTPUT_PROMETHEUS_URL, monitoring.prometheus_url)
    pulumi.export(outputs.OUTPUT_ALERTMANAGER_URL, monitoring.alertmanager_url)
    if gateway is not None:
        pulumi.export(outputs.OUTPUT_GATEWAY_URL, gateway.url)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What every component of this stack is built with."""

    chosen: PlatformSettings
    releases: Releases
    opts: pulumi.ResourceOptions
    """After namespaces and the kinds of monitoring exist."""
    guarded: pulumi.ResourceOptions
    """The same for components that hold what nobody could make again."""


KEPT = tuple(f"kubernetes:{each}" for each in ("apps/v1:StatefulSet", "core/v1:Secret", "core/v1:Namespace"))
"""Types whose objects hold data, its passwords, or both. The rest of a component may come and go."""


def _protect(resource: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    if resource.type_ not in KEPT:
        return None
    opts = pulumi.ResourceOptions.merge(resource.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformationResult(resource.props, opts)


def _foundation(chosen: PlatformSettings) -> Stack:
    cluster = kube.Cluster("cluster", chosen.cluster.provider_arguments())
    releases = Releases(chosen.images)
    protection = pulumi.ResourceOptions(transformations=[_protect] if chosen.protect else [])
    namespaces = Namespaces(
        "namespaces",
        chosen.namespaces,
        NamespacesInputs(
            platform=_namespaces(chosen),
            workloads=outputs.NAMESPACE_WORKLOADS,
            workloads_labels=katib.INJECTION if _has_katib(chosen) else {},
        ),
        pulumi.ResourceOptions.merge(pulumi.ResourceOptions(provider=cluster), protection),
    )
    operator = MonitoringOperator(
        "monitoring-operator",
        chosen.monitoring,
        OperatorInputs(
            namespace=outputs.NAMESPACE_MONITORING,
            release=releases["prometheus-operator"],
            image=releases.image("prometheus-operator"),
            reloader_image=releases.image("prometheus-config-reloader"),
        ),
        pulumi.ResourceOptions(provider=cluster, depends_on=[namespaces]),
    )
    opts = pulumi.ResourceOptions(provider=cluster, depends_on=[namespaces, *operator.definitions])
    guarded = pulumi.ResourceOptions.merge(opts, protection)
    return Stack(chosen=chosen, releases=releases, opts=opts, guarded=guarded)


def _namespaces(chosen: PlatformSettings) -> tuple[str, ...]:
    core = (outputs.NAMESPACE_DATA, outputs.NAMESPACE_ML, outputs.NAMESPACE_MONITORING)
    of_parts = {
        "training": outputs.NAMESPACE_TRAINING,
        "queueing": outputs.NAMESPACE_QUEUEING,
        "serving": outputs.NAMESPACE_SERVING,
    }
    return (*core, *(of_parts[part] for part in chosen.parts if part in of_parts))


def _has_katib(chosen: PlatformSettings) -> bool:
    return "tuning" in chosen.parts and chosen.tuning.katib.enabled


def _monitoring(stack: Stack) -> Monitoring:
    releases = stack.releases
    inputs = MonitoringInputs(
        namespace=outputs.NAMESPACE_MONITORING,
        prometheus_image=releases.image("prometheus"),
        prometheus_version=releases["prometheus"].version,
        alertmanager_image=releases.image("alertmanager"),
        alertmanager_version=releases["alertmanager"].version,
        rules=alerts.rules(
            stack.chosen.parts,
            _elsewhere(stack.chosen),
            stack.chosen.monitoring.prometheus.longest_for,
        ),
        dashboards=dashboards.files(stack.chosen.parts),
        grafana=_grafana(stack.releases) if stack.chosen.monitoring.grafana.enabled else None,
    )
    return Monitoring("monitoring", stack.chosen.monitoring, inputs, stack.opts)


def _elsewhere(chosen: PlatformSettings) -> tuple[str, ...]:
    """Components whose server is not of this cluster."""
    return ("object_store",) if chosen.object_store.external else ()


def _exporters(stack: Stack) -> None:
    releases, chosen = stack.releases, stack.chosen.monitoring
    inputs = ExportersInputs(
        namespace=outputs.NAMESPACE_MONITORING,
        node_image=releases.image("node-exporter"),
        objects_image=releases.image("kube-state-metrics") if chosen.kube_state_metrics.enabled else None,
        gpus_image=releases.image("dcgm-exporter") if chosen.dcgm.enabled else None,
    )
    Exporters("exporters", chosen, inputs, stack.opts)


def _grafana(releases: Releases) -> GrafanaInputs:
    return GrafanaInputs(
        image=releases.image("grafana"), sidecar_image=releases.image("grafana-dashboards-sidecar")
    )


def _databases(stack: Stack) -> Postgresql:
    wishes = [
        DatabaseWish(name="iceberg", tables=CATALOG_TABLES),
        DatabaseWish(name="mlflow"),
        DatabaseWish(name="mlflow_auth"),
        # Also without the parts that use them: what is in them outlasts a time without.
        DatabaseWish(name="optuna"),
        DatabaseWish(name="bookings"),
        DatabaseWish(name="staging"),
    ]
    if _has_katib(stack.chosen):
        wishes.append(DatabaseWish(name="katib"))
    inputs = PostgresqlInputs(
        namespace=outputs.NAMESPACE_DATA, image=stack.releases.image("postgresql"), databases=tuple(wishes)
    )
    return Postgresql("postgresql", stack.chosen.postgresql, inputs, stack.guarded)


def _object_store(stack: Stack) -> ObjectStore:
    inputs = ObjectStoreInputs(
        namespace=outputs.NAMESPACE_DATA,
        image=stack.releases.image("versitygw"),
        buckets=(outputs.BUCKET_DATASETS, outputs.BUCKET_WAREHOUSE, outputs.BUCKET_MLFLOW),
    )
    return ObjectStore("object-store", stack.chosen.object_store, inputs, stack.guarded)


def _trino(stack: Stack, databases: Postgresql, store: ObjectStore) -> Trino:
    inputs = TrinoInputs(
        namespace=outputs.NAMESPACE_DATA,
        image=stack.releases.image("trino"),
        iceberg=databases.databases["iceberg"],
        postgresql=databases.databases["staging"],
        store=store.store,
        warehouse=store.buckets[outputs.BUCKET_WAREHOUSE],
    )
    return Trino("trino", stack.chosen.trino, inputs, stack.opts)


def _mlflow(stack: Stack, databases: Postgresql, store: ObjectStore) -> Mlflow:
    inputs = MlflowInputs(
        namespace=outputs.NAMESPACE_ML,
        image=stack.releases.image("mlflow"),
        tracking=databases.databases["mlflow"],
        users=databases.databases["mlflow_auth"],
        store=store.store,
        bucket=store.buckets[outputs.BUCKET_MLFLOW],
    )
    return Mlflow("mlflow", stack.chosen.mlflow, inputs, stack.opts)


def _tuning(stack: Stack, databases: Postgresql) -> Tuning:
    inputs = TuningInputs(
        namespace=outputs.NAMESPACE_ML,
        image=stack.releases.image("optuna-dashboard"),
        studies=databases.databases["optuna"],
        katib=_katib(stack, databases) if _has_katib(stack.chosen) else None,
    )
    return Tuning("tuning", stack.chosen.tuning, inputs, stack.opts)


def _katib(stack: Stack, databases: Postgresql) -> katib.KatibInputs:
    release = stack.releases["katib"]
    return katib.KatibInputs(
        namespace=outputs.NAMESPACE_ML,
        release=release,
        images={name: stack.releases.image(name) for name, _ in release.image_names()},
        database=databases.databases["katib"],
    )


def _access(
    stack: Stack,
    databases: Postgresql,
    store: ObjectStore,
    trino: Trino,
    mlflow: Mlflow,
    monitoring: Monitoring,
    tuning: Tuning | None,
    gateway: Gateway | None,
) -> None:
    inputs = WorkloadAccessInputs(
        namespace=outputs.NAMESPACE_WORKLOADS,
        secret=outputs.SECRET_ACCESS,
        store=store.store,
        bucket=store.buckets[outputs.BUCKET_DATASETS],
        warehouse_bucket=store.buckets[outputs.BUCKET_WAREHOUSE],
        staging=databases.databases["staging"],
        trino=Login(url=trino.url, user=trino.user, password=trino.password),
        trino_ca=trino.ca,
        mlflow=Login(url=mlflow.url, user=mlflow.user, password=mlflow.password),
        prometheus_url=monitoring.prometheus_url,
        alertmanager_url=monitoring.alertmanager_url,
        studies=Studies(database=databases.databases["optuna"], dashboard_url=tuning.url) if tuning else None,
        serving=_serving(databases.databases["bookings"], gateway) if gateway else None,
    )
    WorkloadAccess("workload-access", inputs, stack.opts)


def _serving(bookings: Database, gateway: Gateway) -> Serving:
    return Serving(
        bookings=bookings,
        gateway_url=gateway.url,
        gateway_ca=gateway.authority,
        api_key=gateway.keys[WORKLOADS_TENANT],
    )


def _certificates(stack: Stack) -> Certificates:
    images = [f"cert-manager-{each}" for each in ("controller", "webhook", "cainjector")]
    inputs = CertificatesInputs(
        namespace=outputs.NAMESPACE_SERVING,
        release=stack.releases["cert-manager"],
        images=tuple(stack.releases.image(each) for each in images),
        issuer="platform",
    )
    return Certificates("certificates", stack.chosen.certificates, inputs, stack.opts)


def _gateway(stack: Stack, certificates: Certificates) -> Gateway:
    inputs = GatewayInputs(
        namespace=outputs.NAMESPACE_SERVING,
        controller=_upstream(stack, "envoy-gateway"),
        definitions=stack.releases["envoy-gateway-definitions"],
        proxy_image=stack.releases.image("envoy"),
        issuer=certificates.issuer,
        gateway=outputs.GATEWAY,
        listener=outputs.GATEWAY_LISTENER,
        port=outputs.GATEWAY_PORT,
        service=outputs.GATEWAY_SERVICE,
        secret=outputs.SECRET_GATEWAY_TLS,
        key_header=outputs.GATEWAY_KEY_HEADER,
        key_secret=outputs.SECRET_GATEWAY_KEY,
        credential=outputs.SECRET_GATEWAY_CREDENTIAL,
        domain=outputs.DOMAIN,
        routes_from=outputs.NAMESPACE_WORKLOADS,
        repeatable=outputs.REPEATABLE_LABEL,
    )
    return Gateway("gateway", stack.chosen.gateway, inputs, stack.opts)


def _models(stack: Stack, certificates: Certificates) -> None:
    releases, chosen = stack.releases, stack.chosen.serving
    inputs = ModelServingInputs(
        namespace=outputs.NAMESPACE_SERVING,
        definitions=releases["kserve-crd"],
        kserve=_upstream(stack, "kserve"),
        storage_image=releases.image("storage-initializer"),
        issuer=certificates.issuer,
        workloads=outputs.NAMESPACE_WORKLOADS,
        access_secret=outputs.SECRET_ACCESS,
        runtime=outputs.RUNTIME_MLFLOW,
        upstream_runtimes=releases["kserve-runtimes"],
        runtime_images={name: releases.image(name) for name in RUNTIME_IMAGES}
        if chosen.upstream_runtimes
        else {},
    )
    ModelServing("serving", chosen, inputs, stack.opts)


def _scaling(stack: Stack, certificates: Certificates, monitoring: Monitoring) -> None:
    inputs = ScalingInputs(
        namespace=outputs.NAMESPACE_SERVING,
        adapter=_upstream(stack, "prometheus-adapter"),
        issuer=certificates.issuer,
        prometheus_url=monitoring.prometheus_url,
        workloads=outputs.NAMESPACE_WORKLOADS,
        model_metric=outputs.METRIC_MODEL,
        booking_metric=outputs.METRIC_BOOKING,
    )
    Scaling("scaling", stack.chosen.scaling, inputs, stack.opts)


def _upstream(stack: Stack, name: str) -> Upstream:
    return Upstream(release=stack.releases[name], image=stack.releases.image(name))


def _queueing(stack: Stack) -> None:
    inputs = QueueingInputs(
        namespace=outputs.NAMESPACE_QUEUEING,
        kueue=_upstream(stack, "kueue"),
        queue=outputs.QUEUE,
        workloads=outputs.NAMESPACE_WORKLOADS,
    )
    Queueing("queueing", stack.chosen.queueing, inputs, stack.opts)


def _training(stack: Stack) -> None:
    inputs = TrainingInputs(
        namespace=outputs.NAMESPACE_TRAINING,
        jobset=_upstream(stack, "jobset"),
        trainer=_upstream(stack, "trainer"),
        mpi_operator=_upstream(stack, "mpi-operator"),
        runtime=outputs.RUNTIME_TORCH,
        gpu_runtime=outputs.RUNTIME_TORCH_GPU,
        tensorflow_runtime=outputs.RUNTIME_TENSORFLOW,
    )
    Training("training", stack.chosen.training, inputs, stack.opts)
