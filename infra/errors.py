"""What the program says to the person who can fix it. Pulumi prints these without a traceback."""

import pulumi


class SettingsError(pulumi.RunError):
    """A stack file that does not fit the settings: each line names the setting, the value and the way out."""


class UnpinnedImage(pulumi.RunError):
    """An image without a digest in a stack that runs only what was resolved once."""


class ReleaseError(pulumi.RunError):
    """An upstream release whose manifest cannot be had, or is not what `releases.toml` says."""
