"""What a person may choose about certificates."""

from infra.settings_base import Resources, Settings


class CertificatesSettings(Settings):
    controller: Resources = Resources(cpu="10m", memory="96Mi")
    """Makes and renews certificates."""
    injector: Resources = Resources(cpu="10m", memory="128Mi")
    """Writes authorities into webhook configurations; it keeps all of them and all Secrets of authorities."""
    webhook: Resources = Resources(cpu="10m", memory="64Mi")
    """Judges what is asked of cert-manager."""
