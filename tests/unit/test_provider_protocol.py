"""What the stand-in provider can be sent."""

import subprocess
import sys

DEEPER = """
from google.protobuf import struct_pb2
{first}
inner = struct_pb2.Value(string_value="found")
for _ in range(60):
    inner = struct_pb2.Value(struct_value=struct_pb2.Struct(fields={{"a": inner}}))
sent = struct_pb2.Struct(fields={{"a": inner}}).SerializeToString()
struct_pb2.Struct.FromString(sent)
"""


def parses(first: str) -> bool:
    """In a process of its own: the limit is one of the process, and `pulumi` lifts it too."""
    done = subprocess.run(
        [sys.executable, "-c", DEEPER.format(first=first)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or "DecodeError" in done.stderr, done.stderr
    return done.returncode == 0


def test_an_object_may_be_nested_more_deeply_than_protobuf_allows_by_itself() -> None:
    assert not parses("")
    assert parses("import local.provider.protocol")
