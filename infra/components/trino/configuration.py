"""Trino's own files. Secrets stand in them as `${ENV:NAME}`, which Trino replaces when it starts."""

import json
from collections.abc import Mapping
from pathlib import Path

HTTP_PORT = 8080
"""Between Trino's own pods; it refuses clients."""
HTTPS_PORT = 8443
CATALOGS = ("iceberg", "postgresql", "tpch")
CATALOG_PREFIX = "catalog-"
_HERE = Path(__file__).parent

ENV_SHARED_SECRET = "TRINO_SHARED_SECRET"
ENV_ICEBERG_PASSWORD = "TRINO_ICEBERG_PASSWORD"
ENV_POSTGRESQL_PASSWORD = "TRINO_POSTGRESQL_PASSWORD"
ENV_S3_ACCESS_KEY = "TRINO_S3_ACCESS_KEY"
ENV_S3_SECRET_KEY = "TRINO_S3_SECRET_KEY"


def files(*, coordinator: bool, include_coordinator: bool, heap_mib: int, discovery: str) -> dict[str, str]:
    """The folder /etc/trino of a coordinator or a worker, without the catalogs."""
    common = {
        "config.properties": _properties(_config(coordinator, include_coordinator, heap_mib, discovery)),
        "jvm.config": f"-Xmx{heap_mib}M\n" + (_HERE / "jvm.config").read_text(),
        "node.properties": _properties({"node.environment": "seatrial", "node.data-dir": "/data/trino"}),
        "log.properties": _properties({"io.trino": "INFO"}),
    }
    return common | (_access() if coordinator else {})


def _config(coordinator: bool, include_coordinator: bool, heap_mib: int, discovery: str) -> dict[str, str]:
    memory = f"{heap_mib * 6 // 10}MB"
    config = {
        "coordinator": str(coordinator).lower(),
        "http-server.http.port": str(HTTP_PORT),
        "discovery.uri": discovery,
        "internal-communication.shared-secret": f"${{ENV:{ENV_SHARED_SECRET}}}",
        "query.max-memory-per-node": memory,
    }
    if coordinator:
        config |= {
            "node-scheduler.include-coordinator": str(include_coordinator).lower(),
            "http-server.https.enabled": "true",
            "http-server.https.port": str(HTTPS_PORT),
            "http-server.https.keystore.path": "/etc/trino/tls-combined.pem",
            "http-server.authentication.type": "PASSWORD",
        }
    return config


def _access() -> dict[str, str]:
    """Who may log in, and what `monitoring`, whose password Prometheus holds, may not do."""
    return {
        "password-authenticator.properties": _properties(
            {"password-authenticator.name": "file", "file.password-file": "/etc/trino/password.db"}
        ),
        "access-control.properties": _properties(
            {"access-control.name": "file", "security.config-file": "/etc/trino/rules.json"}
        ),
        "rules.json": json.dumps(_RULES, indent=1),
    }


_RULES = {
    "catalogs": [{"user": "monitoring", "allow": "none"}, {"allow": "all"}],
    "queries": [{"user": "monitoring", "allow": []}, {"allow": ["execute", "view", "kill"]}],
    "system_information": [{"allow": ["read"]}],
}


def catalogs(
    *,
    iceberg_url: str,
    iceberg_user: str,
    warehouse: str,
    s3: Mapping[str, str],
    postgresql: Mapping[str, str],
) -> dict[str, str]:
    """One file a catalog, named as a ConfigMap may name it: `catalog-iceberg.properties`."""
    iceberg = {
        "connector.name": "iceberg",
        "iceberg.catalog.type": "jdbc",
        "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
        "iceberg.jdbc-catalog.connection-url": iceberg_url,
        "iceberg.jdbc-catalog.connection-user": iceberg_user,
        "iceberg.jdbc-catalog.connection-password": f"${{ENV:{ENV_ICEBERG_PASSWORD}}}",
        "iceberg.jdbc-catalog.catalog-name": "iceberg",
        "iceberg.jdbc-catalog.default-warehouse-dir": warehouse,
        "fs.native-s3.enabled": "true",
        "s3.endpoint": s3["endpoint"],
        "s3.region": s3["region"],
        "s3.path-style-access": "true",
        "s3.aws-access-key": f"${{ENV:{ENV_S3_ACCESS_KEY}}}",
        "s3.aws-secret-key": f"${{ENV:{ENV_S3_SECRET_KEY}}}",
    }
    database = {
        "connector.name": "postgresql",
        "connection-url": postgresql["url"],
        "connection-user": postgresql["user"],
        "connection-password": f"${{ENV:{ENV_POSTGRESQL_PASSWORD}}}",
    }
    all_catalogs = {"iceberg": iceberg, "postgresql": database, "tpch": {"connector.name": "tpch"}}
    return {f"{CATALOG_PREFIX}{name}.properties": _properties(each) for name, each in all_catalogs.items()}


def _properties(values: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())
