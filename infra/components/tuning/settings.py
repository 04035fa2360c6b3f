"""What a person may choose about the search for settings."""

from infra.settings_base import Resources, Settings


class TuningSettings(Settings):
    resources: Resources = Resources(memory="320Mi")
    """The dashboard's pod. It keeps the trials of the studies that are looked at in memory."""
