"""The names that a stack promises to those who use the platform. Imports nothing."""

NAMESPACE_DATA = "platform-data"
"""PostgreSQL, the object store and Trino."""
NAMESPACE_ML = "platform-ml"
"""MLflow and the dashboard of Optuna."""
NAMESPACE_MONITORING = "platform-monitoring"
"""The Prometheus Operator, Prometheus and Alertmanager."""
NAMESPACE_TRAINING = "platform-training"
"""Kubeflow Trainer, JobSet and the MPI Operator; there where the part `training` was chosen."""
NAMESPACE_WORKLOADS = "workloads"
"""Jobs of the platform's users."""

SECRET_ACCESS = "platform-access"
"""Secret in NAMESPACE_WORKLOADS: what a job needs to reach the platform, as environment variables.

AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION S3_BUCKET S3_WAREHOUSE_BUCKET TRINO_URL
TRINO_USER TRINO_PASSWORD TRINO_CA MLFLOW_TRACKING_URI MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD
PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PROMETHEUS_URL OPTUNA_STORAGE OPTUNA_DASHBOARD_URL
"""
SECRET_ACCESS_OF = {"tuning": ("OPTUNA_STORAGE", "OPTUNA_DASHBOARD_URL")}
"""Those of them that are there only with a part, by its name."""

RUNTIME_TORCH = "torch"
"""ClusterTrainingRuntime: what a TrainJob names to run PyTorch on several nodes."""
RUNTIME_TORCH_GPU = "torch-gpu"
"""The same with one GPU a node."""
EXIT_HOPELESS = 3
"""Exit code of a training that would fail again: both runtimes fail its job at once."""

BUCKET_DATASETS = "datasets"
"""Files that workloads read and write."""
BUCKET_WAREHOUSE = "warehouse"
"""The files of Trino's Iceberg tables."""
BUCKET_MLFLOW = "mlflow"
"""Artifacts of MLflow runs."""

OUTPUT_TRINO_URL = "trino_url"
OUTPUT_MLFLOW_URL = "mlflow_url"
OUTPUT_OBJECT_STORE_URL = "object_store_url"
OUTPUT_POSTGRESQL_HOST = "postgresql_host"
OUTPUT_PROMETHEUS_URL = "prometheus_url"
OUTPUT_ALERTMANAGER_URL = "alertmanager_url"
"""Keys of `pulumi stack output`: addresses inside the cluster,
`scheme://service.namespace.svc.cluster.local:port`.
"""
