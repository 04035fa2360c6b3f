"""The stubs of Pulumi's protocol that the provider speaks."""

from typing import Any

from google.protobuf.pyext import cpp_message

from local.pulumi_stubs import stub

engine: Any = stub("engine_pb2")
engine_grpc: Any = stub("engine_pb2_grpc")
plugin: Any = stub("plugin_pb2")
provider: Any = stub("provider_pb2")
provider_grpc: Any = stub("provider_pb2_grpc")
status: Any = stub("status_pb2")

# By default a message may hold 100 others inside each other, and an object takes three a level: definitions
# of kinds that hold templates of templates of pods are deeper. `pulumi` lifts the limit in the same way.
if cpp_message._message is not None:
    cpp_message._message.SetAllowOversizeProtos(True)
