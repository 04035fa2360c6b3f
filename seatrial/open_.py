"""`seatrial open`: reach a part of the platform from this machine."""

import threading
import webbrowser
from typing import Annotated

import typer

from client import ClientError
from infra import outputs
from seatrial.connection import connect
from seatrial.console import out
from seatrial.context import LOCAL_STACK

PARTS = {
    "mlflow": ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "gateway": ("GATEWAY_URL", None, "GATEWAY_API_KEY"),
    "trino": ("TRINO_URL", "TRINO_USER", "TRINO_PASSWORD"),
    "optuna": ("OPTUNA_DASHBOARD_URL", None, None),
    "prometheus": ("PROMETHEUS_URL", None, None),
    "alertmanager": ("ALERTMANAGER_URL", None, None),
    "s3": ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
"""What can be opened: the keys of its address, account and password in the access Secret."""


def open_(
    part: Annotated[str, typer.Argument(help=f"One of: {', '.join(PARTS)}.")],
    stack: Annotated[str, typer.Option(help="The stack.")] = LOCAL_STACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 picks a free one.")] = 0,
    browse: Annotated[bool, typer.Option("--browse", help="Open a web browser too.")] = False,
) -> None:
    """Forward a port on loopback to a part of the platform, until Ctrl-C."""
    if part not in PARTS:
        raise typer.BadParameter(f"{part!r}; there are: {', '.join(PARTS)}", param_hint="PART")
    address, account, password = PARTS[part]
    with connect(stack) as platform:
        if address not in platform.access:
            raise ClientError(
                f"this platform has no {part}: {address} is not in Secret {outputs.SECRET_ACCESS}",
                "provision all parts of the platform: seatrial up",
            )
        here = platform.local(address, port)
        url = here.geturl()
        out.print(f"{part}: {url}", markup=False)
        if account and password:
            out.print(
                f"  account {platform.access[account]}; the password is what this prints:", markup=False
            )
            out.print(f"  {_prints(password)}", markup=False)
        elif password:
            out.print("  the host of a request picks its route; the key of the workloads lets it in:")
            out.print(
                f"  curl --connect-to ::{here.netloc} --cacert <({_prints('GATEWAY_CA')}) "
                f'-H "{outputs.GATEWAY_KEY_HEADER}: $({_prints(password)})" https://NAME.{outputs.DOMAIN}/',
                markup=False,
                soft_wrap=True,
            )
        out.print("until Ctrl-C …")
        if browse:
            webbrowser.open(url)
        threading.Event().wait()


def _prints(variable: str) -> str:
    """The command that prints an entry of the access Secret."""
    secret = f"kubectl -n {outputs.NAMESPACE_WORKLOADS} get secret {outputs.SECRET_ACCESS}"
    return f"{secret} -o jsonpath='{{.data.{variable}}}' | base64 -d"
