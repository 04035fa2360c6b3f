"""Panels that may have nothing to show, and why; all others must show something on a running platform."""

NOT_SERVED = "no model has been asked lately"
NOT_QUEUED = "no job has been let run by the queue lately"

EMPTY = {
    ("seatrial-mlflow", "Time to answer"): "nobody has asked the tracking server lately",
    ("seatrial-mlflow", "Server errors"): "nobody has asked the tracking server lately",
    ("seatrial-gateway", "Server errors"): "nobody has asked the Gateway lately",
    ("seatrial-gateway", "Time to answer"): "nobody has asked the Gateway lately",
    ("seatrial-queueing", "Wait for admission"): NOT_QUEUED,
    ("seatrial-queueing", "Evicted"): "no job has lost its place since Kueue was started",
    ("seatrial-serving", "Requests to models"): NOT_SERVED,
    ("seatrial-serving", "Requests that fail"): NOT_SERVED,
    ("seatrial-serving", "Time to answer"): NOT_SERVED,
    ("seatrial-serving", "Refused questions"): "no question was refused by a model that is served now",
    ("seatrial-serving", "Quotes"): "the booking service has not been asked lately",
    ("seatrial-serving", "Pods"): "no model is served",
    ("seatrial-serving", "Requests a pod"): "no model is served",
    ("seatrial-training", "CPU of the workloads"): "no workload has run lately",
    ("seatrial-training", "Memory of the workloads"): "no workload has run lately",
    ("seatrial-tuning", "Searching pods"): "no search has run lately",
    ("seatrial-tuning", "CPU of the searching pods"): "no search has run lately",
}
"""By the dashboard's uid and the panel's title."""
OF_EXTERNAL_STORE = "the object store is external: what it is like is seen where it is"


def reason(uid: str, title: str, *, external_store: bool = False) -> str:
    """Why a panel may be empty, or nothing."""
    if uid == "seatrial-object-store" and external_store:
        return OF_EXTERNAL_STORE
    return EMPTY.get((uid, title), "")
