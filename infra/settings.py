"""The whole settings tree, and the only reader of Pulumi's configuration.

A stack file holds one key a section, `seatrial:trino: {workers: 3}`; what it leaves out keeps the
default that is written in the section's class. A name that nobody knows is an error.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime.config import CONFIG
from pydantic import ValidationError

from infra.components.certificates.settings import CertificatesSettings
from infra.components.gateway.settings import GatewaySettings
from infra.components.mlflow.settings import MlflowSettings
from infra.components.monitoring.settings import MonitoringSettings
from infra.components.namespaces.settings import NamespacesSettings
from infra.components.object_store.settings import ObjectStoreSettings
from infra.components.postgresql.settings import PostgresqlSettings
from infra.components.queueing.settings import QueueingSettings
from infra.components.scaling.settings import ScalingSettings
from infra.components.serving.settings import ServingSettings
from infra.components.training.settings import TrainingSettings
from infra.components.trino.settings import TrinoSettings
from infra.components.tuning.settings import TuningSettings
from infra.errors import SettingsError
from infra.parts import ALL, Part, parse
from infra.releases import ImagePolicy
from infra.settings_base import Settings, explain

PROJECT = "seatrial"
LOCAL = "local"
"""The one stack whose cluster is given by KUBECONFIG, as `seatrial env` sets it."""
PARTS_VARIABLE = "SEATRIAL_PARTS"
"""Names the parts of the local stack, before its stack file does: `core` or `core,training`."""
STACKS = Path(__file__).parents[1] / "stacks"


class ClusterSettings(Settings):
    """The Kubernetes cluster that a stack runs on."""

    context: str | None = None
    """Context of the kubeconfig; none: the current one. Every stack but `local` must name one."""
    adopt_existing_objects: bool = False
    """Take over an object that is already there instead of failing. For `local`, whose run may be killed
    between the making of an object and its record in the state; its cluster has no other owner."""

    def provider_arguments(self) -> dict[str, Any]:
        """For the provider. The identifier keeps a renewed kubeconfig from replacing every object."""
        return {
            "context": self.context,
            "clusterIdentifier": self.context or "current-context",
            "upsertExistingObjects": self.adopt_existing_objects or None,
        }


class PlatformSettings(Settings):
    """Everything a stack file may say."""

    cluster: ClusterSettings = ClusterSettings()
    images: ImagePolicy = "pinned"
    """Whether images are run by tag or by digest."""
    protect: bool = True
    """Databases and buckets refuse to be deleted until this is switched off."""
    parts: tuple[Part, ...] = ALL
    """What is provisioned besides the core. For `local`, $SEATRIAL_PARTS says so instead."""
    namespaces: NamespacesSettings = NamespacesSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    postgresql: PostgresqlSettings = PostgresqlSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    trino: TrinoSettings = TrinoSettings()
    mlflow: MlflowSettings = MlflowSettings()
    tuning: TuningSettings = TuningSettings()
    training: TrainingSettings = TrainingSettings()
    queueing: QueueingSettings = QueueingSettings()
    certificates: CertificatesSettings = CertificatesSettings()
    gateway: GatewaySettings = GatewaySettings()
    serving: ServingSettings = ServingSettings()
    scaling: ScalingSettings = ScalingSettings()


def of_this_stack(stack: str) -> PlatformSettings:
    """The settings of the running Pulumi program."""
    return validate(stack, {**CONFIG.get(), **_parts_of_environment(stack)})


def of_stack_file(stack: str, folder: Path = STACKS) -> PlatformSettings:
    """The settings of a stack file, read without Pulumi."""
    file = folder / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(each.name.split(".")[1] for each in folder.glob("Pulumi.*.yaml")))
        raise SettingsError(f"there is no stack file {file.name} in {folder.name}/; stacks: {known}")
    return validate(stack, yaml.safe_load(file.read_text()).get("config") or {})


def validate(stack: str, config: Mapping[str, Any]) -> PlatformSettings:
    """Pulumi's flat configuration as one checked tree."""
    prefix = f"{PROJECT}:"
    sections = {
        key.removeprefix(prefix): _structured(value)
        for key, value in config.items()
        if key.startswith(prefix)
    }
    try:
        made = PlatformSettings.model_validate(sections)
    except ValidationError as error:
        lines = "\n  ".join(explain(error, PlatformSettings))
        raise SettingsError(f"stacks/Pulumi.{stack}.yaml is not valid:\n  {lines}") from None
    if stack != LOCAL and made.cluster.context is None:
        raise SettingsError(
            f"stacks/Pulumi.{stack}.yaml does not say which cluster it is for: whatever kubectl speaks to "
            "just now would be taken\n  what to do: set cluster.context to a context of your kubeconfig"
        )
    return made


def _parts_of_environment(stack: str) -> dict[str, Any]:
    named = os.environ.get(PARTS_VARIABLE)
    if stack != LOCAL or not named:
        return {}
    try:
        return {f"{PROJECT}:parts": parse(named)}
    except ValueError as unknown:
        raise SettingsError(
            f"{PARTS_VARIABLE} is {named!r}, which names {unknown}\n"
            '  what to do: unset it, or let `eval "$(seatrial env)"` set it'
        ) from None


def _structured(value: Any) -> Any:
    """The engine hands objects and lists over as JSON text, everything else as plain text."""
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
