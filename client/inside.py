"""The platform as a program in a pod reaches it: with the pod's own account and Services by their names.

What a user has from Secrets, the pod has in its environment: its account needs no right to read any Secret.
"""

import os
from urllib.parse import SplitResult, urlsplit

from kubernetes import client as k8s
from kubernetes import config as k8s_config

from client.errors import ClientError
from client.forward import Forward
from client.platform import Platform


class Inside(Platform):
    """Made by `of_this_pod`; what takes a Platform takes it too."""

    @classmethod
    def of_this_pod(cls, name: str = "local") -> "Inside":
        """The platform whose pod this process runs in.

        Raises:
            ClientError: this is no pod, or one without an account.
        """
        settings = k8s.Configuration()
        try:
            k8s_config.load_incluster_config(client_configuration=settings)
        except k8s_config.ConfigException as error:
            raise ClientError(
                f"this process has no account of a cluster: {error}",
                "run it in a pod with a ServiceAccount whose token is mounted",
            ) from error
        return cls(k8s.ApiClient(settings), name)

    @property
    def access(self) -> dict[str, str]:
        """This process's environment."""
        return dict(os.environ)

    def forward(self, namespace: str, service: str, port: int, local_port: int = 0) -> Forward:
        """Nobody forwards to what is reached by its name.

        Raises:
            ClientError: always.
        """
        raise ClientError(
            f"there are no port-forwards in a pod (asked for {namespace}/{service}:{port})",
            "use `address` or `local`, which know where the process runs",
        )

    def address(self, namespace: str, service: str, port: int) -> str:
        """`host:port` of the Service."""
        return f"{service}.{namespace}.svc.cluster.local:{port}"

    def local(self, variable: str, local_port: int = 0) -> SplitResult:
        """The address of `access[variable]`, as it is.

        Raises:
            ClientError: the pod was not given it.
        """
        value = self.access.get(variable)
        if not value:
            raise ClientError(
                f"environment variable {variable} is not set",
                "take it from the Secret platform-access, or provision the part that brings it",
            )
        return urlsplit(value)
