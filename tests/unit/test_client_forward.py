"""What a port-forward does with bytes, against a far side made of two sockets."""

import os
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from websocket import WebSocketConnectionClosedException

from client import forward
from client.errors import ClientError
from client.forward import DATA, ERROR, Target


class Channel:
    """A websocket whose frames are length-prefixed on a socket pair."""

    def __init__(self) -> None:
        self.sock, self.far = socket.socketpair()
        self.closed = False

    def recv(self) -> bytes:
        head = self.sock.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            raise WebSocketConnectionClosedException("closed")
        return self.sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)

    def send_binary(self, data: bytes) -> None:
        self.sock.sendall(len(data).to_bytes(4, "big") + data)

    def close(self, timeout: float = 1) -> None:
        self.closed = True
        self.sock.close()

    def say(self, channel: int, data: bytes) -> None:
        """What the far side sends."""
        self.far.sendall((len(data) + 1).to_bytes(4, "big") + bytes([channel]) + data)

    def hear(self) -> bytes:
        head = self.far.recv(4, socket.MSG_WAITALL)
        return self.far.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)


class Pumped:
    """A pump running between a client's socket and a channel."""

    def __init__(self) -> None:
        self.client, near = socket.socketpair()
        self.client.settimeout(10)
        self.channel = Channel()
        self.complaint: list[str] = []

        def body() -> None:
            self.complaint.append(forward.pump(near, self.channel))
            near.close()

        self.thread = threading.Thread(target=body, daemon=True)
        self.thread.start()
        for channel in (DATA, ERROR):
            self.channel.say(channel, b"\x90\x1f")

    def ended(self) -> str:
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.complaint[0]


@pytest.fixture
def pumped() -> Iterator[Pumped]:
    made = Pumped()
    yield made
    for each in (made.client, made.channel.far, made.channel.sock):
        each.close()


def test_the_frames_that_name_the_port_do_not_reach_the_client(pumped: Pumped) -> None:
    pumped.channel.say(DATA, b"hello")
    assert pumped.client.recv(100) == b"hello"


def test_what_the_client_sends_goes_out_on_the_data_channel(pumped: Pumped) -> None:
    pumped.client.sendall(b"SELECT 1")
    assert pumped.channel.hear() == b"\x00SELECT 1"


def test_everything_sent_before_the_far_side_closed_arrives(pumped: Pumped) -> None:
    sent = os.urandom(300_000)
    got = bytearray()

    def read() -> None:
        while part := pumped.client.recv(1 << 16):
            got.extend(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for start in range(0, len(sent), 30_000):
        pumped.channel.say(DATA, sent[start : start + 30_000])
    pumped.channel.far.close()
    pumped.ended()
    reader.join(10)
    assert bytes(got) == sent


def test_the_channel_is_closed_when_the_client_is_done(pumped: Pumped) -> None:
    pumped.client.close()
    assert pumped.ended() == ""
    assert pumped.channel.closed


def test_a_complaint_of_the_far_side_is_kept(pumped: Pumped) -> None:
    pumped.channel.say(ERROR, b"connection refused in the pod")
    assert pumped.ended() == "connection refused in the pod"


def test_a_pod_that_went_away_is_replaced_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    far: list[socket.socket] = []
    targets = iter([Target("old", 1), Target("new", 1)])
    opened: list[str] = []

    def open_channel(api: Any, namespace: str, target: Target) -> Any:
        opened.append(target.pod)
        if target.pod == "old":
            raise ConnectionRefusedError("it is gone")
        channel = Channel()
        far.append(channel.far)
        for kind in (DATA, ERROR):
            channel.say(kind, b"\x01\x00")
        channel.say(DATA, b"from the new pod")
        return channel

    monkeypatch.setattr(forward, "wait_for_target", lambda *_: next(targets))
    monkeypatch.setattr(forward, "open_channel", open_channel)
    made = forward.Forward(lambda: None, "ns", "service", 80)
    try:
        with socket.create_connection(("127.0.0.1", made.local_port), timeout=10) as client:
            assert client.recv(100) == b"from the new pod"
    finally:
        made.close()
        far[0].close()
    assert opened == ["old", "new"]


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClientError, match=f"port {port} of 127.0.0.1"):
            forward.Forward(lambda: None, "ns", "service", 80, local_port=port)


def test_a_port_that_the_service_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [SimpleNamespace(port=8443, name="https"), SimpleNamespace(port=9090, name="metrics")]
    service = SimpleNamespace(spec=SimpleNamespace(ports=ports))
    core = SimpleNamespace(read_namespaced_service=lambda *_: service)
    monkeypatch.setattr(forward.k8s, "CoreV1Api", lambda _: core)
    with pytest.raises(ClientError, match="has no port 80") as caught:
        forward.ready_target(None, "ns", "trino", 80)
    assert "8443, 9090" in caught.value.todo
