"""Answers the engine's questions about Python programs."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2

from local.language_host import program
from local.language_host.lifetime import end_quietly_when_interrupted, end_with_parent
from local.pulumi_stubs import stub

language: Any = stub("language_pb2")
language_grpc: Any = stub("language_pb2_grpc")
plugin: Any = stub("plugin_pb2")

PROVIDER = ("kubernetes", "v4.34.2")
VERSION = "3.246.0"
"""The release of `pulumi` whose protocol this speaks."""
_MESSAGE_LIMIT = 400 * 1024 * 1024


class LanguageHost(language_grpc.LanguageRuntimeServicer):  # type: ignore[misc]
    """The part of the protocol that running a program needs."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def Handshake(self, _request: Any, _context: Any) -> Any:
        return language.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:
        return plugin.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, _request: Any, _context: Any) -> Any:
        name, version = PROVIDER
        needed = plugin.PackageDependency(name=name, kind="resource", version=version)
        return language.GetRequiredPackagesResponse(packages=[needed])

    def GetRequiredPlugins(self, _request: Any, _context: Any) -> Any:
        name, version = PROVIDER
        needed = plugin.PluginDependency(name=name, kind="resource", version=version)
        return language.GetRequiredPluginsResponse(plugins=[needed])

    def GetProgramDependencies(self, _request: Any, _context: Any) -> Any:
        return language.GetProgramDependenciesResponse()

    def RuntimeOptionsPrompts(self, _request: Any, _context: Any) -> Any:
        return language.RuntimeOptionsResponse()

    def About(self, request: Any, _context: Any) -> Any:
        python = program.interpreter(request.info)
        metadata = {"language host": "seatrial's stand-in"}
        return language.AboutResponse(
            executable=str(python), version=sys.version.split()[0], metadata=metadata
        )

    def Run(self, request: Any, context: Any) -> Any:
        if request.attach_debugger:
            _refuse(context, "attaching a debugger")
        try:
            status = program.run(request, self._engine)
        except program.Refused as refused:
            return language.RunResponse(error=str(refused))
        if status == program.SAID:
            return language.RunResponse(bail=True)
        return language.RunResponse(error="" if status == 0 else f"the program ended with status {status}")

    def Cancel(self, _request: Any, _context: Any) -> Any:
        return empty_pb2.Empty()

    def InstallDependencies(self, _request: Any, context: Any) -> Iterator[Any]:
        _refuse(context, "`pulumi install`", "`make setup` installs what requirements/ names")

    def RunPlugin(self, _request: Any, context: Any) -> Iterator[Any]:
        _refuse(context, "running a plugin or policy pack written in Python")


def _refuse(context: Any, what: str, todo: str = "install the vendor's Pulumi for that") -> NoReturn:
    context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        f"seatrial's language host does not support {what}\n  what to do: {todo}",
    )
    raise AssertionError("abort raises")


def main() -> None:
    """Serve on a free port of the loopback, which is printed, until the engine ends it."""
    end_with_parent()
    end_quietly_when_interrupted()
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
        ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ]
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    engine = addresses[-1] if addresses else os.environ.get("PULUMI_ENGINE", "")
    language_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()
