"""Serving: a registered version answers in three protocols what its training logged, and nothing that does
not fit reaches it.
"""

import json
import time
from dataclasses import replace
from typing import Any

import httpx
import numpy as np

import client
from client import Platform, models, outputs, registry
from proofs import models as served
from proofs import probe
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from proofs.subjects.training import trained

BY_MLFLOW = """
    import json, os
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
    import mlflow, pandas
    rows = pandas.DataFrame(json.loads(os.environ["ROWS"]))
    given = rows.astype({name: "float64" for name in NUMBERS})
    model = mlflow.pyfunc.load_model("models:/MODEL/VERSION")
    print(json.dumps({"scores": [float(each) for each in model.predict(given)["late_probability"]]}))
"""
"""Loads the registered version from MLflow, in the image that it was trained in."""
BY_GRPC = """
    import grpc, json, os
    from kserve import InferInput, InferRequest, InferResponse
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs
    body = json.loads(os.environ["ROWS"])
    def filled(values):
        return [float("nan") if each is None else each for each in values]
    inputs = [
        InferInput(each["name"], each["shape"], each["datatype"], filled(each["data"]))
        for each in body["inputs"]
    ]
    stub = stubs.GRPCInferenceServiceStub(grpc.insecure_channel("ADDRESS"))
    request = InferRequest("MODEL", inputs, request_id="g").to_grpc()
    answer, call = stub.ModelInfer.with_call(request, timeout=30)
    made = InferResponse.from_grpc(answer).outputs[0]
    told = dict(call.initial_metadata())
    print(json.dumps({"scores": [float(x) for x in made.as_numpy()], "version": told["x-model-version"]}))
"""
"""Asks the served version in the protocol V2 over gRPC, in the image that it is served from."""
WHILE = 3.0
"""Seconds for which a server that says that it is not ready must still answer. It does for five; those who
send requests hear of it sooner.
"""


def scores(answer: httpx.Response) -> list[float]:
    """Of a V1 or V2 answer."""
    answer.raise_for_status()
    said = answer.json()
    if "predictions" in said:
        return [row["late_probability"] for row in said["predictions"]]
    return list(said["outputs"][0]["data"])


def same(found: list[float], expected: list[float]) -> bool:
    """Bit by bit, as the 32-bit numbers that the model gives."""
    return bool(np.array_equal(np.float32(found), np.float32(expected)))


@proof("serving")
def one_chain_leads_from_an_answer_to_its_data(platform: Platform, check: Check) -> None:
    """Version, run and files that the server tells are those of the registry, and lead to a snapshot."""
    require_part(platform, check)
    asked = served.asked(platform)
    answer = asked.http.get("/", headers={"x-request-id": "chain"})
    about, version = answer.json(), asked.found.version
    now = registry.resolve(platform, asked.found.model, version)
    (held,) = [each for each in models.served(platform, served.NAME) if each.version == version]
    check(held.ready, "KServe says that the version is ready")
    check.equal(answer.headers.get("x-model-version"), version, "each answer names the version")
    check.equal(answer.headers.get("x-request-id"), "chain", "and the request's id")
    check.equal(about["version"], version, "the server serves this version")
    check.equal(about["run_id"], now.run_id, "the files that it loaded name the registered run")
    check.equal(about["digest"], now.digest, "they are the files of the registered version")
    check.equal((held.digest, held.run_id), (now.digest, now.run_id), "its InferenceService says the same")
    check.equal(now.tags.get("run_id"), now.run_id, "the version's tags name the run")
    check(bool(now.tags.get("snapshot_id")), "and the snapshot", tags=now.tags)


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def it_predicts_what_the_training_logged(platform: Platform, check: Check) -> None:
    """For flights of the test month the served model gives the predictions that its training logged."""
    require_part(platform, check)
    asked = served.asked(platform)
    rows = served.flights(platform, asked.found)
    check(len(rows) == served.ROWS, f"there are {served.ROWS} flights", rows=len(rows))
    found = np.array(scores(asked.v1(served.instances(rows))))
    expected = np.array(served.logged(rows, trained(platform).predictions))
    furthest = float(np.abs(found - expected).max())
    check(furthest < 1e-5, "each prediction is the one that was logged", furthest=furthest)
    check(len(set(found)) > served.ROWS // 2, "they differ from flight to flight")


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def all_protocols_and_mlflow_agree(platform: Platform, check: Check) -> None:
    """V1, V2 and gRPC answer what MLflow's own loading of the version predicts in the training's image."""
    require_part(platform, check)
    asked = served.asked(platform)
    given = served.instances(served.flights(platform, asked.found).head(20))
    body = served.body(given, asked)
    by_v1, by_v2 = scores(asked.v1(given)), scores(asked.v2(body))
    check(same(by_v1, by_v2), "V1 and V2 give the same, bit by bit", v1=by_v1[:3], v2=by_v2[:3])
    namespace = outputs.NAMESPACE_WORKLOADS
    address = f"{asked.service}.{namespace}.svc.cluster.local:8081"
    by_grpc = in_pod(
        platform, "probe-grpc", BY_GRPC, body, served.image(platform), ADDRESS=address, MODEL=served.NAME
    )
    check(same(by_v1, by_grpc["scores"]), "gRPC gives the same", v1=by_v1[:3], grpc=by_grpc["scores"][:3])
    check.equal(by_grpc["version"], asked.found.version, "gRPC names the version too")
    numbers = repr([each["name"] for each in body["inputs"] if each["datatype"] == "FP64"])
    by_mlflow = in_pod(
        platform, "probe-mlflow", BY_MLFLOW, given, probe.workload_image(platform),
        MODEL=asked.found.model, VERSION=asked.found.version, NUMBERS=numbers,
    )["scores"]  # fmt: skip
    check(
        same(by_v1, by_mlflow), "MLflow predicts the same in the training's image", served=by_v1[:3],
        mlflow=by_mlflow[:3],
    )  # fmt: skip


def in_pod(platform: Platform, name: str, script: str, rows: Any, image: str, **words: str) -> dict[str, Any]:
    """What a script prints that runs in a pod of `image` with these rows; `words` are put into it."""
    for word, value in words.items():
        script = script.replace(word, value)
    job = probe.job(image, name, script)
    (main,) = job["spec"]["template"]["spec"]["containers"]
    main["env"].append({"name": "ROWS", "value": json.dumps(rows)})
    main["resources"]["limits"]["memory"] = "1Gi"
    found = client.deploy(platform, name, [job], deadline=180)
    client.delete_workloads(platform, name)
    return next(iter(found[name].messages.values()))


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def what_does_not_fit_never_reaches_the_model(platform: Platform, check: Check) -> None:
    """A request with another column, type or shape gets 400 that names it, and the model is not called."""
    require_part(platform, check)
    asked = served.asked(platform)
    (row,) = served.instances(served.flights(platform, asked.found).head(1))
    body = served.body([row], asked)
    before = {name: asked.counted(name) for name in ("model_predictions_total", "model_refused_total")}
    unfit = [
        ("a column too many", asked.v1([{**row, "gate": 7}]), "'gate'"),
        ("a column too few", asked.v1([{name: row[name] for name in row if name != "hour"}]), "'hour'"),
        ("text for a number", asked.v1([{**row, "distance": "far"}]), "'distance'"),
        ("a fraction for a whole number", asked.v1([{**row, "hour": 5.5}]), "'hour'"),
        ("no text where it must be", asked.v1([{**row, "carrier": None}]), "'carrier'"),
        ("no rows", asked.v1([]), "`instances`"),
        ("another datatype", asked.v2(changed(body, "hour", datatype="FP64")), "'hour'"),
        ("a shape that its values do not fill", asked.v2(changed(body, "hour", shape=[2])), "hour has 2"),
        ("a column that is a matrix", asked.v2(changed(body, "hour", shape=[1, 2], data=[5, 5])), "'hour'"),
    ]
    for what, answer, word in unfit:
        said = answer.text
        check.equal(answer.status_code, 400, f"{what} is refused")
        check(word in said, f"{what} is refused with the column's name", said=said)
    away = asked.http.post("/v1/models/nobody:predict", json={"instances": [row]})
    check.equal(away.status_code, 404, "a model of another name is not found")
    check.equal(
        asked.counted("model_predictions_total"),
        before["model_predictions_total"],
        "the model was not called",
    )
    check.equal(
        asked.counted("model_refused_total"), before["model_refused_total"] + len(unfit), "each was counted"
    )
    check.equal(asked.v1([row]).status_code, 200, "the row as it was is answered")


def changed(body: dict[str, Any], column: str, **fields: Any) -> dict[str, Any]:
    """A V2 request with one tensor changed."""
    return {"inputs": [{**each, **fields} if each["name"] == column else each for each in body["inputs"]]}


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def models_are_watched(platform: Platform, check: Check) -> None:
    """Prometheus counts the requests to a served version."""
    require_part(platform, check)
    asked = served.asked(platform)
    (row,) = served.instances(served.flights(platform, asked.found).head(1))
    query = f'sum(model_requests_total{{model="{served.NAME}",version="{asked.found.version}",code="200"}})'
    before = figure(platform, query)
    for _ in range(5):
        asked.v1([row]).raise_for_status()
    deadline = time.monotonic() + 60
    while (now := figure(platform, query)) < before + 5 and time.monotonic() < deadline:
        time.sleep(1)
    check(now >= before + 5, "Prometheus counts the requests", before=before, now=now)


def figure(platform: Platform, query: str) -> float:
    found = platform.prometheus("query", query=query)["result"]
    return float(found[0]["value"][1]) if found else 0.0


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def a_server_that_is_told_to_end_answers_for_a_while(platform: Platform, check: Check) -> None:
    """After SIGTERM a server says that it is not ready and goes on answering, so that no request is lost."""
    require_part(platform, check)
    asked = served.asked(platform)
    (row,) = served.instances(served.flights(platform, asked.found).head(1))
    name = models.service_name(served.NAME, asked.found.version)
    selector = f"serving.kserve.io/inferenceservice={name}"
    (pod,) = platform.core.list_namespaced_pod(outputs.NAMESPACE_WORKLOADS, label_selector=selector).items
    with served.client_of(platform, asked.service) as one:
        check.equal(one.get("/v2/health/ready").status_code, 200, "the server is ready")
        platform.core.delete_namespaced_pod(pod.metadata.name, outputs.NAMESPACE_WORKLOADS)
        ready, answers = until_not_ready(one, row)
    check(not ready, "it says that it is not ready when it is told to end")
    check(bool(answers), "it was asked meanwhile")
    check.equal(set(answers), {200}, "it answers while it ends")
    served.asked.cache_clear()
    served.asked(platform)


def until_not_ready(one: httpx.Client, row: dict[str, Any]) -> tuple[bool, list[int | str]]:
    """Asks over one connection until the server says that it is not ready, and for a while after that."""
    answers: list[int | str] = []
    ready, deadline = True, time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if ready and one.get("/v2/health/ready").status_code != 200:
                ready, deadline = False, time.monotonic() + WHILE
            answer = one.post(f"/v1/models/{served.NAME}:predict", json={"instances": [row]})
            answers.append(answer.status_code)
    except httpx.TransportError as error:
        answers.append(type(error).__name__)
    return ready, answers


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def a_model_whose_files_were_changed_is_not_served(platform: Platform, check: Check) -> None:
    """A version whose files are not those that were registered is refused by its server, in these words."""
    require_part(platform, check)
    asked = served.asked(platform)
    wrong = replace(asked.found, digest=f"sha256:{'0' * 64}")
    try:
        check.refuses(
            lambda: models.serve(
                platform, wrong, name=served.CHANGED, image=served.image(platform), size=served.SIZE
            ),
            [f"those of the registered version have {wrong.digest}"],
            "it is refused, and says why",
        )
        held = models.served(platform, served.CHANGED)
        check.equal([each.ready for each in held], [False], "it is not ready")
    finally:
        models.withdraw(platform, served.CHANGED, wrong.version)


@proof("serving", needs=["serving.one_chain_leads_from_an_answer_to_its_data"])
def nothing_is_left_of_what_was_withdrawn(platform: Platform, check: Check) -> None:
    """A version that is taken away leaves no pod, Deployment or Service."""
    require_part(platform, check)
    asked = served.asked(platform)
    served.asked.cache_clear()
    models.withdraw(platform, served.NAME, asked.found.version)
    check.equal(models.served(platform, served.NAME), [], "no version of it is served")
    core, namespace = platform.core, outputs.NAMESPACE_WORKLOADS
    selector = f"{outputs.MODEL_LABEL}={served.NAME}"
    check.equal(
        len(core.list_namespaced_pod(namespace, label_selector=selector).items), 0, "none of its pods is left"
    )
    names = {each.metadata.name for each in core.list_namespaced_service(namespace).items}
    check(asked.service not in names, "nor is its Service", services=sorted(names))
