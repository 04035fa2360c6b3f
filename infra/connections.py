"""How one component reaches another: what `program.py` hands from the giver to the taker."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class Database:
    """A PostgreSQL database and the role that owns it."""

    host: pulumi.Output[str]
    port: int
    name: str
    user: str
    password: pulumi.Output[str]

    def url(self, scheme: str) -> pulumi.Output[str]:
        """`scheme://host:port/name`, without user and password."""
        return pulumi.Output.concat(scheme, "://", self.host, f":{self.port}/{self.name}")

    def account_url(self, scheme: str) -> pulumi.Output[str]:
        """The same with user and password; generated passwords need no escaping."""
        return pulumi.Output.concat(
            f"{scheme}://{self.user}:", self.password, "@", self.host, f":{self.port}/{self.name}"
        )


@dataclass(frozen=True, kw_only=True)
class Store:
    """An S3 service and an account that may read and write the platform's buckets."""

    endpoint: pulumi.Output[str]
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class Login:
    """An HTTP service and an account on it."""

    url: pulumi.Input[str]
    user: pulumi.Input[str]
    password: pulumi.Input[str]
