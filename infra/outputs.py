"""The names that a stack promises to those who use the platform. Imports nothing."""

NAMESPACE_DATA = "platform-data"
"""PostgreSQL, the object store and Trino."""
NAMESPACE_ML = "platform-ml"
"""MLflow and the dashboard of Optuna."""
NAMESPACE_MONITORING = "platform-monitoring"
"""The Prometheus Operator, Prometheus and Alertmanager."""
PROMETHEUS = "platform"
"""The Prometheus in NAMESPACE_MONITORING."""
ANNOTATION_LONGEST_FOR = "seatrial.dev/longest-for"
"""Annotation of it, where the stack hastens its alerts: for how long one has to hold at most."""
NAMESPACE_TRAINING = "platform-training"
"""Kubeflow Trainer, JobSet and the MPI Operator; there where the part `training` was chosen."""
NAMESPACE_QUEUEING = "platform-queueing"
"""Kueue; there where the part `queueing` was chosen."""
NAMESPACE_SERVING = "platform-serving"
"""cert-manager, Envoy Gateway and its proxies, KServe and the Prometheus adapter; there with the part
`serving`.
"""
NAMESPACE_WORKLOADS = "workloads"
"""Jobs of the platform's users."""

SECRET_ACCESS = "platform-access"
"""Secret in NAMESPACE_WORKLOADS: what a job needs to reach the platform, as environment variables.

AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION S3_BUCKET S3_WAREHOUSE_BUCKET TRINO_URL
TRINO_USER TRINO_PASSWORD TRINO_CA MLFLOW_TRACKING_URI MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD
PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PROMETHEUS_URL ALERTMANAGER_URL OPTUNA_STORAGE
OPTUNA_DASHBOARD_URL BOOKINGS_DATABASE GATEWAY_URL GATEWAY_CA GATEWAY_API_KEY
"""
SECRET_ACCESS_OF = {
    "tuning": ("OPTUNA_STORAGE", "OPTUNA_DASHBOARD_URL"),
    "serving": ("BOOKINGS_DATABASE", "GATEWAY_URL", "GATEWAY_CA", "GATEWAY_API_KEY"),
}
"""Those of them that are there only with a part, by its name."""

RUNTIME_TORCH = "torch"
"""ClusterTrainingRuntime: what a TrainJob names to run PyTorch on several nodes."""
RUNTIME_TORCH_GPU = "torch-gpu"
"""The same with one GPU a node."""
RUNTIME_TENSORFLOW = "tensorflow"
"""ClusterTrainingRuntime: what a TrainJob names to run TensorFlow on several nodes."""
EXIT_HOPELESS = 3
"""Exit code of a training that would fail again: the runtimes fail its job at once."""

RUNTIME_MLFLOW = "mlflow"
"""ClusterServingRuntime: how an InferenceService runs an MLflow model; there with the part `serving`."""
MODEL_LABEL = "seatrial.dev/model"
"""Label of an InferenceService and its pods: what routes and protocols call the model, whatever version."""
VERSION_LABEL = "seatrial.dev/version"
"""Label beside it: the number of the version."""
METRIC_MODEL = "model_requests_per_second"
"""Metric of a model server's pod, for autoscalers of NAMESPACE_WORKLOADS; there with the part `serving`."""
METRIC_BOOKING = "booking_requests_per_second"
"""The same of a booking service's pod."""

QUEUE = "workloads"
"""LocalQueue in NAMESPACE_WORKLOADS, and the ClusterQueue with its quota; there with the part `queueing`."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""Label by which a job names the queue that it waits in. A job without it does not wait."""

GATEWAY = "platform"
"""Gateway in NAMESPACE_SERVING; HTTPRoutes of NAMESPACE_WORKLOADS may name it as their parent."""
GATEWAY_LISTENER = "https"
"""Its one listener: TLS on GATEWAY_PORT."""
GATEWAY_PORT = 443
GATEWAY_SERVICE = "gateway"
"""Service in NAMESPACE_SERVING in front of the proxies. Whoever asks names it, and by the host a route."""
GATEWAY_KEY_HEADER = "x-api-key"
"""Header by which a request shows the key of its tenant."""
SECRET_GATEWAY_TLS = "gateway-tls"
"""Secret in NAMESPACE_SERVING, of the Certificate of the same name: what the Gateway is known by."""
SECRET_GATEWAY_KEY = "gateway-key-{tenant}"
"""Secret in NAMESPACE_SERVING: a tenant's key, under the tenant's name."""
SECRET_GATEWAY_CREDENTIAL = "gateway-credential"
"""Secret in NAMESPACE_WORKLOADS: under `credential` what a route may have the Gateway show to its backend, so
that this knows which requests came through the Gateway.
"""
TENANT_TRIAL = "trial"
"""A tenant who may send little, to see what happens to more."""
REPEATABLE_LABEL = "seatrial.dev/repeatable"
"""Label of a route, with the value `true`: a request that broke off may be sent again, to another pod."""
DOMAIN = "platform.test"
"""What the hosts of routes end with: `<name>.platform.test`."""

BUCKET_DATASETS = "datasets"
"""Files that workloads read and write."""
BUCKET_WAREHOUSE = "warehouse"
"""The files of Trino's Iceberg tables."""
BUCKET_MLFLOW = "mlflow"
"""Artifacts of MLflow runs."""
FOLDER_ARTIFACTS = "artifacts"
"""Where in that bucket MLflow's `mlflow-artifacts:/` begins."""

OUTPUT_TRINO_URL = "trino_url"
OUTPUT_MLFLOW_URL = "mlflow_url"
OUTPUT_OBJECT_STORE_URL = "object_store_url"
OUTPUT_POSTGRESQL_HOST = "postgresql_host"
OUTPUT_PROMETHEUS_URL = "prometheus_url"
OUTPUT_ALERTMANAGER_URL = "alertmanager_url"
OUTPUT_GATEWAY_URL = "gateway_url"
"""Keys of `pulumi stack output`: addresses inside the cluster,
`scheme://service.namespace.svc.cluster.local:port`.
"""
