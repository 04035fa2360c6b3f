"""Offers simulated GPUs to a kubelet by its device-plugin interface, so that they outlive its restarts.

A program of its own: `device_plugin.py COUNT`. The few messages are declared here, field by field as in the
kubelet's published api.proto (v1beta1). The kubelet removes all sockets of its folder when it starts, upon
which the plugin serves and registers anew.
"""

import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FOLDER = Path("/var/lib/kubelet/device-plugins")
RESOURCE = "nvidia.com/gpu"
SOCKET = FOLDER / "seatrial-gpu.sock"
_STRING, _BOOL, _MESSAGE = 9, 8, 11
_ONE, _MANY = 1, 3

_MESSAGES: dict[str, dict[str, tuple[int, int, int, str]]] = {
    "Empty": {},
    "DevicePluginOptions": {},
    "RegisterRequest": {
        "version": (1, _ONE, _STRING, ""),
        "endpoint": (2, _ONE, _STRING, ""),
        "resource_name": (3, _ONE, _STRING, ""),
    },
    "Device": {"ID": (1, _ONE, _STRING, ""), "health": (2, _ONE, _STRING, "")},
    "ListAndWatchResponse": {"devices": (1, _MANY, _MESSAGE, "Device")},
    "ContainerAllocateRequest": {"devices_ids": (1, _MANY, _STRING, "")},
    "AllocateRequest": {"container_requests": (1, _MANY, _MESSAGE, "ContainerAllocateRequest")},
    # A map field is a list of key and value on the wire.
    "Env": {"key": (1, _ONE, _STRING, ""), "value": (2, _ONE, _STRING, "")},
    "ContainerAllocateResponse": {"envs": (1, _MANY, _MESSAGE, "Env")},
    "AllocateResponse": {"container_responses": (1, _MANY, _MESSAGE, "ContainerAllocateResponse")},
}


def _load() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="seatrial/v1beta1.proto", package="v1beta1", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, label, kind, of) in fields.items():
            added = message.field.add(name=field, number=number, label=label, type=kind)
            if of:
                added.type_name = f".v1beta1.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1beta1.{name}"))
        for name in _MESSAGES
    }


T = _load()


class Plugin:
    """The kubelet asks which devices there are, and what a container that got some of them needs."""

    def __init__(self, count: int) -> None:
        self.devices = [T["Device"](ID=f"simulated-{n}", health="Healthy") for n in range(count)]

    def options(self, request: Any, context: Any) -> Any:
        return T["DevicePluginOptions"]()

    def list_and_watch(self, request: Any, context: Any) -> Iterator[Any]:
        yield T["ListAndWatchResponse"](devices=self.devices)
        while context.is_active():
            time.sleep(0.5)  # simulated devices never change: only keep the stream open

    def allocate(self, request: Any, context: Any) -> Any:
        answers = []
        for container in request.container_requests:
            ids = ",".join(container.devices_ids)
            env = T["Env"](key="NVIDIA_VISIBLE_DEVICES", value=ids)
            answers.append(T["ContainerAllocateResponse"](envs=[env]))
        return T["AllocateResponse"](container_responses=answers)

    def serve(self) -> Any:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods = {
            "GetDevicePluginOptions": _handler(unary, self.options, "Empty"),
            "ListAndWatch": _handler(stream, self.list_and_watch, "Empty"),
            "Allocate": _handler(unary, self.allocate, "AllocateRequest"),
        }
        service = grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", methods)
        server.add_generic_rpc_handlers((service,))
        server.add_insecure_port(f"unix://{SOCKET}")
        server.start()
        return server


def _handler(kind: Any, method: Any, request: str) -> Any:
    return kind(
        method,
        request_deserializer=T[request].FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def register() -> None:
    with grpc.insecure_channel(f"unix://{FOLDER / 'kubelet.sock'}") as channel:
        call = channel.unary_unary(
            "/v1beta1.Registration/Register",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=T["Empty"].FromString,
        )
        call(T["RegisterRequest"](version="v1beta1", endpoint=SOCKET.name, resource_name=RESOURCE), timeout=5)


def main() -> None:
    plugin = Plugin(int(sys.argv[1]))
    while True:
        while not (FOLDER / "kubelet.sock").exists():
            time.sleep(0.2)
        SOCKET.unlink(missing_ok=True)
        server = plugin.serve()
        try:
            register()
            print("registered", RESOURCE, "with the kubelet", flush=True)
            while SOCKET.exists():
                time.sleep(0.5)
        except grpc.RpcError as error:
            print("the kubelet does not answer yet:", error.code(), flush=True)
            time.sleep(0.5)
        server.stop(grace=None).wait()


if __name__ == "__main__":
    main()
