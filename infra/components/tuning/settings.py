"""What a person may choose about the search for settings."""

from infra.settings_base import Resources, Settings


class KatibSettings(Settings):
    enabled: bool = False
    """For cloud stacks: Katib's images are not built here."""
    controller: Resources = Resources(memory="256Mi")
    db_manager: Resources = Resources(memory="128Mi")


class TuningSettings(Settings):
    resources: Resources = Resources(memory="320Mi")
    """The dashboard's pod. It keeps the trials of the studies that are looked at in memory."""
    katib: KatibSettings = KatibSettings()
    """Katib, which makes a Job for each trial, beside Optuna."""
