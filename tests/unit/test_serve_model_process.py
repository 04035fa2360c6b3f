"""The server of models as a process: V1, V2 and gRPC, what it refuses, how it ends.

Where KServe's package is not (it cannot be installed beside what our tests need), the proofs `serving.*` say
the same of a running platform.
"""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

kserve = pytest.importorskip("kserve", reason="KServe's package is not installed: it wants an older psutil")

ROW = {"x": 1.5, "n": 2, "s": "UA"}
INPUTS = [
    {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]},
    {"name": "n", "shape": [1], "datatype": "INT64", "data": [2]},
    {"name": "s", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
]
CODE = """
    import mlflow, time
    import pandas as pd

    class Slow(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            time.sleep(float(model_input["n"].iloc[0] == 99))
            return pd.DataFrame({"score": (model_input["x"] * 2).astype("float32")})

    mlflow.models.set_model(Slow())
"""
COLUMNS = Schema([ColSpec("double", "x"), ColSpec("long", "n"), ColSpec("string", "s")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    code = made / "slow.py"
    code.write_text(textwrap.dedent(CODE))
    signature = ModelSignature(COLUMNS, Schema([ColSpec("float", "score")]))
    mlflow.pyfunc.save_model(
        str(made / "model"), python_model=str(code), signature=signature, pip_requirements=[]
    )
    return made / "model"


def run(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The server as its image starts it."""
    command = [sys.executable, "-m", "serve_model.main", "--name", "delay", "--version", "3"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2] / "workloads"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [*command, "--folder", str(folder), *arguments],
        env=environment, cwd=folder.parent, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Server:
    process: subprocess.Popen[str]
    http: httpx.Client
    grpc: str

    def v1(self, *rows: Any, **headers: str) -> httpx.Response:
        return self.http.post("/v1/models/delay:predict", json={"instances": list(rows)}, headers=headers)

    def v2(self, inputs: Any) -> httpx.Response:
        return self.http.post("/v2/models/delay/infer", json={"id": "7", "inputs": inputs})

    def counted(self, metric: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{metric}{{"))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    ports = free_port(), free_port()
    process = run(folder, "--http-port", str(ports[0]), "--grpc-port", str(ports[1]), "--drain", "2")
    with httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=60) as http:
        while process.poll() is None:
            try:
                if http.get("/v2/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield Server(process, http, f"127.0.0.1:{ports[1]}")
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """One for all tests that leave it as it was: it takes a while to start."""
    with serving(folder) as one:
        yield one


def infer(server: Server, inputs: Any, **metadata: str) -> tuple[Any, dict[str, Any]]:
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs

    made = [kserve.InferInput(each["name"], each["shape"], each["datatype"], each["data"]) for each in inputs]
    request = kserve.InferRequest("delay", made, request_id="7").to_grpc()
    with grpc.insecure_channel(server.grpc) as channel:
        stub = stubs.GRPCInferenceServiceStub(channel)
        answer, call = stub.ModelInfer.with_call(request, timeout=60, metadata=tuple(metadata.items()))
    told = {key: value for key, value in call.initial_metadata()}
    return kserve.InferResponse.from_grpc(answer), told


def test_three_protocols_answer_the_same_and_name_the_version(server: Server) -> None:
    one = server.v1(ROW, **{"x-request-id": "r1"})
    assert one.json() == {"predictions": [{"score": 3.0}]}
    assert (one.headers["x-model-version"], one.headers["x-request-id"]) == ("3", "r1")
    two = server.v2(INPUTS).json()
    assert (two["id"], two["model_version"]) == ("7", "3")
    assert two["outputs"][0] | {"parameters": None} == {
        "name": "score", "shape": [1], "datatype": "FP32", "data": [3.0], "parameters": None,
    }  # fmt: skip
    three, told = infer(server, INPUTS, **{"x-request-id": "r3"})
    assert three.outputs[0].as_numpy().tolist() == [3.0]
    assert (told["x-model-version"], told["x-request-id"]) == ("3", "r3")
    about = server.http.get("/v2/models/delay").json()
    assert [(each["name"], each["datatype"]) for each in about["inputs"]] == [
        ("x", "FP64"), ("n", "INT64"), ("s", "BYTES"),
    ]  # fmt: skip


def test_what_does_not_fit_is_refused_counted_and_never_reaches_the_model(server: Server) -> None:
    import grpc

    names = ("model_refused_total", "model_predictions_total", "model_requests_total")
    before = {name: server.counted(name) for name in names}
    wrong = [{**INPUTS[0], "datatype": "BYTES"}, *INPUTS[1:]]
    answers = [server.v1({**ROW, "n": 1.5}), server.v1(), server.v2(wrong), server.v2(INPUTS[:2])]
    assert [each.status_code for each in answers] == [400] * 4
    assert "column 'n' must be a whole number" in answers[0].json()["error"]
    assert all(each.headers["x-model-version"] == "3" for each in answers)
    with pytest.raises(grpc.RpcError) as refused:
        infer(server, [{**INPUTS[0], "shape": [2], "data": [1.0, 2.0]}, *INPUTS[1:]])
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    after = {name: server.counted(name) - value for name, value in before.items()}
    assert after == {"model_refused_total": 5, "model_predictions_total": 0, "model_requests_total": 5}


@pytest.mark.parametrize("body", [b"{", b'{"inputs": 3}', b"[]", b'{"inputs": [{"name": "x"}]}'])
def test_what_is_no_request_at_all_is_refused_too(server: Server, body: bytes) -> None:
    for path in ("/v2/models/delay/infer", "/v1/models/delay:predict"):
        answer = server.http.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert server.http.post("/v1/models/other:predict", json={"instances": [ROW]}).status_code == 404


def test_json_that_is_not_called_so_is_refused_with_what_is_missing(server: Server) -> None:
    as_curl_does = {"content-type": "application/x-www-form-urlencoded"}
    answer = server.http.post("/v1/models/delay:predict", json={"instances": [ROW]}, headers=as_curl_does)
    assert answer.status_code == 400
    assert "content-type: application/json" in answer.json()["error"]


def test_nobody_who_may_ask_the_model_can_take_it_away(server: Server) -> None:
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs

    for way in ("unload", "load"):
        answer = server.http.post(f"/v2/repository/models/delay/{way}")
        assert (answer.status_code, answer.json()) == (400, {"error": "what is served here does not change"})
    asked = messages.RepositoryModelUnloadRequest(model_name="delay")
    with grpc.insecure_channel(server.grpc) as channel:
        unload = stubs.GRPCInferenceServiceStub(channel).RepositoryModelUnload
        with pytest.raises(grpc.RpcError) as refused:
            unload(asked, timeout=60)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert server.v1(ROW).status_code == 200


def test_told_to_end_it_is_not_ready_answers_for_a_while_and_finishes_what_is_under_way(folder: Path) -> None:
    with serving(folder) as server:
        server.process.send_signal(signal.SIGTERM)
        while server.http.get("/v2/health/ready").status_code == 200:
            time.sleep(0.02)
        answered = 0
        try:
            while True:
                assert server.v1({**ROW, "n": 99}).status_code == 200
                answered += 1
        except httpx.TransportError:
            assert answered, "the port was closed at once"
        assert server.process.wait(60) == 0


def test_files_that_are_not_the_registered_ones_are_not_served(folder: Path) -> None:
    process = run(folder, "--digest", "sha256:0")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "delay, version 3, is not served: the files in" in said
