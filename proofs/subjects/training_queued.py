"""Jobs wait for their part of the quota."""

from typing import Any

from client import Platform, delete_workloads, jobs, outputs, queues
from client.waiting import until
from proofs import queued, trainings
from proofs.run import Check, proof

HOLDER, WAITER, FREE = "probe-holder", "probe-waiter", "probe-free"


@proof("training")
def a_job_waits_for_quota(platform: Platform, check: Check) -> None:
    """Of two TrainJobs that want more than the quota together the second starts when the first has ended; one
    that names no queue does not wait.
    """
    trainings.require_part(platform, check)
    if queues.queue_of(platform) is None:
        check.skip("the part queueing is not provisioned (seatrial up --parts core,training,queueing)")
    active = queued.condition(platform, "LocalQueue", outputs.QUEUE, "Active")
    check(active.get("status") == "True", "the platform's queue takes jobs", condition=active)
    with queued.small_queue(platform):
        try:
            _one_after_the_other(platform, check)
        finally:
            for name in (HOLDER, WAITER, FREE):
                delete_workloads(platform, name)


def _one_after_the_other(platform: Platform, check: Check) -> None:
    holder = queued.put(platform, HOLDER, queue=queued.NAME, holds=True)
    until(lambda: queued.running(platform, holder), "the first job to run")
    waiter = queued.put(platform, WAITER, queue=queued.NAME)
    until(lambda: bool(queued.quota_reserved(platform, waiter)), "Kueue to look at the second job")
    seen = queued.quota_reserved(platform, waiter)
    check.equal(seen["status"], "False", "the second job has no part of the quota")
    check("insufficient" in seen["message"], "Kueue says what is short", said=seen["message"])
    jobs.follow(queued.put(platform, FREE, queue=None), 120)
    check(True, "a job that names no queue ran to its end meanwhile")
    check.equal(waiter.read()["spec"].get("suspend"), True, "the second job is suspended")
    check.equal(queued.pods_of(platform, waiter), [], "it has no pods")
    queued.release(platform, holder)
    jobs.follow(holder, 120)
    jobs.follow(waiter, 120)
    (first,), (second,) = (_ended(platform, job) for job in (holder, waiter))
    check(
        first.finished_at <= second.started_at,
        "the second job started when the first had ended",
        first=first.finished_at,
        second=second.started_at,
    )


def _ended(platform: Platform, job: jobs.Handle) -> list[Any]:
    """How the containers of a job's pods ended."""
    return [
        status.state.terminated
        for pod in queued.pods_of(platform, job)
        for status in pod.status.container_statuses
    ]
