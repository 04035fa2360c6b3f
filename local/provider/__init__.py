"""Stand-in for the pulumi-kubernetes plugin 4.34.2, used where the vendor's plugin cannot be downloaded.

It speaks Pulumi's ResourceProvider protocol for plain Kubernetes objects. Helm releases and the YAML,
Kustomize and chart components need the vendor's plugin and are refused by name. `python -m local.provider`
starts it.
"""

VERSION = "4.34.2"
"""The release whose promises this stand-in keeps, and the version that it reports to the engine."""
