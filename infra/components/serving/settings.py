"""What a person may choose about the serving of models."""

from infra.settings_base import Resources, Settings


class ServingSettings(Settings):
    resources: Resources = Resources(cpu="10m", memory="192Mi")
    """KServe's controller and webhooks."""
    upstream_runtimes: bool = False
    """Runtimes for TensorFlow Serving, Triton and vLLM besides our own. Not for `local`, which has not their
    images."""
