"""The stubs of Pulumi's protocol that the provider speaks."""

from typing import Any

from local.pulumi_stubs import stub

engine: Any = stub("engine_pb2")
engine_grpc: Any = stub("engine_pb2_grpc")
plugin: Any = stub("plugin_pb2")
provider: Any = stub("provider_pb2")
provider_grpc: Any = stub("provider_pb2_grpc")
status: Any = stub("status_pb2")
