"""What a person may choose about certificates."""

from infra.settings_base import Resources, Settings


class CertificatesSettings(Settings):
    controller: Resources = Resources(cpu="10m", memory="112Mi")
    """Makes and renews certificates."""
    injector: Resources = Resources(cpu="10m", memory="160Mi")
    """Writes authorities into webhook configurations; it keeps all definitions of kinds in memory."""
    webhook: Resources = Resources(cpu="10m", memory="80Mi")
    """Judges what is asked of cert-manager."""
