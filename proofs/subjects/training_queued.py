"""Jobs wait for their part of the quota."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from client import Platform, delete_workloads, jobs, outputs, queues
from client.jobs import Handle
from client.waiting import until
from proofs import queued, trainings
from proofs.run import Check, proof

HOLDER, WAITER, FREE = "probe-holder", "probe-waiter", "probe-free"


@proof("training")
def a_job_waits_for_quota(platform: Platform, check: Check) -> None:
    """Of two TrainJobs that want more than the quota together the second starts when the first has ended; one
    that names no queue does not wait.
    """
    with _queue(platform, check):
        holder = _holder(platform)
        waiter = _waits(platform, check, queued.put)
        jobs.follow(queued.put(platform, FREE, queue=None), 120)
        check(True, "a job that names no queue ran to its end meanwhile")
        _runs_afterwards(platform, check, holder, waiter)


@proof("training")
def an_mpi_job_waits_for_quota(platform: Platform, check: Check) -> None:
    """An MPIJob for which a TrainJob leaves too little of the quota runs when that has ended."""
    with _queue(platform, check):
        holder = _holder(platform)
        waiter = _waits(platform, check, queued.put_mpi)
        check(not waiter.read()["status"].get("startTime"), "the MPI Operator says that it has not begun")
        result = _runs_afterwards(platform, check, holder, waiter)
        failures = [said["error"] for said in result.messages.values() if "error" in said]
        check.equal(failures, [], "its launcher found the worker at the first attempt")


@contextmanager
def _queue(platform: Platform, check: Check) -> Iterator[None]:
    """A queue with room for one job, and no job of these proofs afterwards."""
    trainings.require_part(platform, check)
    if queues.queue_of(platform) is None:
        check.skip("the part queueing is not provisioned (seatrial up --with queueing)")
    active = queued.condition(platform, "LocalQueue", outputs.QUEUE, "Active")
    check(active.get("status") == "True", "the platform's queue takes jobs", condition=active)
    with queued.small_queue(platform):
        try:
            yield
        finally:
            for name in (HOLDER, WAITER, FREE):
                delete_workloads(platform, name)


def _holder(platform: Platform) -> Handle:
    """A job that runs and keeps its part of the quota until it is released."""
    holder = queued.put(platform, HOLDER, queue=queued.NAME, holds=True)
    until(lambda: queued.running(platform, holder), "the first job to run")
    return holder


def _waits(platform: Platform, check: Check, put: Callable[..., Handle]) -> Handle:
    """A second job, which is told to wait."""
    waiter = put(platform, WAITER, queue=queued.NAME)
    until(lambda: bool(queued.quota_reserved(platform, waiter)), "Kueue to look at the second job")
    seen = queued.quota_reserved(platform, waiter)
    check.equal(seen["status"], "False", "the second job has no part of the quota")
    check("insufficient" in seen["message"], "Kueue says what is short", said=seen["message"])
    return waiter


def _runs_afterwards(platform: Platform, check: Check, holder: Handle, waiter: Handle) -> jobs.JobResult:
    """The second job has not begun; it does when the first has ended."""
    check(queued.suspended(waiter), "the second job is suspended")
    check.equal(queued.pods_of(platform, waiter), [], "it has no pods")
    queued.release(platform, holder)
    jobs.follow(holder, 120)
    result = jobs.follow(waiter, 120)
    first = max(state.terminated.finished_at for state in _states(platform, holder))
    second = min((state.running or state.terminated).started_at for state in _states(platform, waiter))
    check(first <= second, "the second job started when the first had ended", first=first, second=second)
    return result


def _states(platform: Platform, job: Handle) -> list[Any]:
    """How the containers of a job's pods are, but for those that never started."""
    return [
        status.state
        for pod in queued.pods_of(platform, job)
        for status in pod.status.container_statuses or []
        if status.state.running or status.state.terminated
    ]
