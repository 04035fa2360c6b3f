"""Named ways to break a running platform: which proof must go red then, and with which words.

Each fault is a context manager that breaks on entering and mends on leaving. What breaks a node of a cluster
is known to those who made the cluster: it comes in as a hook (`during_training`).
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from kubernetes import client as k8s

import client
import workloads
from client import ClientError, Platform, outputs
from client.waiting import until
from proofs import (
    alarms,
    booking,
    damage,
    damage_alerts,
    damage_booking,
    damage_drift,
    damage_feedback,
    damage_models,
    damage_monitoring,
    damage_reaction,
    damage_rollouts,
    damage_scaling,
    damage_serving,
    models,
    trainings,
)
from proofs.run import FAILED, Result, prove
from proofs.subjects import training


@dataclass(frozen=True)
class Fault:
    """A way to break things: these proofs must fail, with one of these words in the cause."""

    name: str
    breaks: Callable[[Platform], AbstractContextManager[None]]
    reddens: tuple[str, ...]
    words: tuple[str, ...]
    seconds: float = 300.0
    """That the proofs may take, broken or mended."""
    shortened: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around both runs: what makes proofs short that would take too long."""


@dataclass(frozen=True)
class Trial:
    """Whether the right proofs went red for the right reason, and turned green again."""

    fault: str
    broken: list[Result]
    mended: list[Result]
    complaints: list[str]


def trial(platform: Platform, fault: Fault) -> Trial:
    """Break, prove, mend, prove again."""
    with fault.shortened():
        with fault.breaks(platform):
            forget(platform)
            broken = prove(platform, only=fault.reddens, deadline=fault.seconds)
        forget(platform)
        mended = prove(platform, only=fault.reddens, deadline=fault.seconds)
    complaints = [f"{entry.name} did not go red" for entry in broken if entry.result != FAILED]
    complaints += [
        f"{entry.name} went red without naming the cause: {entry.cause}"
        for entry in broken
        if entry.result == FAILED and not any(word.lower() in entry.cause.lower() for word in fault.words)
    ]
    complaints += [
        f"{entry.name} stayed {entry.result} when it was mended: {entry.cause}"
        for entry in mended
        if entry.result != "passed"
    ]
    return Trial(fault.name, broken, mended, complaints)


def forget(platform: Platform) -> None:
    """Drop what was read from the platform before."""
    platform.forget()
    training.trained.cache_clear()
    trainings.whole.cache_clear()
    models.asked.cache_clear()
    booking.booked.cache_clear()


@contextmanager
def changed_access(platform: Platform, variable: str, value: str) -> Iterator[None]:
    """Give every workload another value of one variable."""
    old = platform.access[variable]
    _set_access(platform, variable, value)
    try:
        yield
    finally:
        _set_access(platform, variable, old)


def _set_access(platform: Platform, variable: str, value: str) -> None:
    encoded = base64.b64encode(value.encode()).decode()
    platform.core.patch_namespaced_secret(
        outputs.SECRET_ACCESS, outputs.NAMESPACE_WORKLOADS, {"data": {variable: encoded}}
    )


@contextmanager
def scaled_to_zero(platform: Platform, variable: str) -> Iterator[None]:
    """Take away the pods behind the Service that `access[variable]` points to."""
    service, namespace = client.platform.service_of(client.platform.host_of(platform.access[variable]))
    apps = k8s.AppsV1Api(platform.api)
    selector = platform.core.read_namespaced_service(service, namespace).spec.selector
    owners = [
        (item.metadata.name, item.spec.replicas)
        for item in apps.list_namespaced_deployment(namespace).items
        if selector.items() <= (item.spec.template.metadata.labels or {}).items()
    ]
    if not owners:
        raise LookupError(f"no Deployment is behind service {namespace}/{service}")
    try:
        for name, _ in owners:
            apps.patch_namespaced_deployment(name, namespace, {"spec": {"replicas": 0}})
        until(lambda: _ready(apps, namespace, owners, lambda ready, _: ready == 0), f"{service} to stop")
        yield
    finally:
        for name, replicas in owners:
            apps.patch_namespaced_deployment(name, namespace, {"spec": {"replicas": replicas}})
        until(
            lambda: _ready(apps, namespace, owners, lambda ready, wanted: ready == wanted),
            f"{service} to start",
        )


def _ready(
    apps: Any, namespace: str, owners: list[tuple[str, int]], fits: Callable[[int, int], bool]
) -> bool:
    found = [
        (apps.read_namespaced_deployment(name, namespace).status.ready_replicas or 0, wanted)
        for name, wanted in owners
    ]
    return all(fits(ready, wanted) for ready, wanted in found)


_S3_REFUSES = ("SignatureDoesNotMatch", "403", "Forbidden", "AccessDenied")
_TRINO_REFUSES = ("401", "Unauthorized", "Access Denied")


def _wrong(variable: str) -> Callable[[Platform], AbstractContextManager[None]]:
    """A password that is not the one of the account."""
    return lambda platform: changed_access(platform, variable, "not-the-password")


def _of_the_platform() -> tuple[Fault, ...]:
    return (
        Fault(
            "stray-pod",
            damage.pod_that_fits_nowhere,
            ("platform.everything_is_running",),
            (f"pod {damage.NAME} runs (phase='Pending')",),
        ),
        Fault(
            "lost-address",
            lambda platform: changed_access(
                platform, "MLFLOW_TRACKING_URI", "http://no-such.platform-ml.svc.cluster.local:5000"
            ),
            ("platform.pods_find_each_other_and_no_one_else",),
            ("a pod reaches no-such.platform-ml.svc.cluster.local:5000",),
        ),
        Fault(
            "monitor-of-nothing",
            damage.monitor_of_nothing,
            ("platform.everything_is_watched",),
            (f"serviceMonitor/{outputs.NAMESPACE_MONITORING}/{damage.NAME}/ has a target",),
        ),
        Fault(
            "rule-that-fails",
            damage.rule_that_fails,
            ("platform.alerts_are_loaded",),
            (f"rule {damage.UNEVALUABLE} can be evaluated",),
        ),
        Fault(
            "no-new-volumes",
            damage.no_new_volumes,
            ("platform.a_volume_outlives_its_pod",),
            ("probe-storage failed: it was not done after",),
        ),
        Fault(
            "forgetful-table",
            damage.forgetful_table,
            ("platform.a_killed_database_loses_nothing",),
            ("not so: the row is there",),
        ),
    )


def _of_the_data() -> tuple[Fault, ...]:
    return (
        Fault(
            "wrong-s3-password",
            _wrong("AWS_SECRET_ACCESS_KEY"),
            (
                "data.the_snapshot_is_recorded",
                "data.the_files_are_in_the_object_store",
                "data.wrong_passwords_are_refused",
            ),
            _S3_REFUSES,
        ),
        Fault(
            "metadata-apart",
            damage.metadata_apart,
            ("data.an_object_is_replaced_whole",),
            ("each read gave an object that was put",),
        ),
        Fault(
            "wrong-trino-password",
            _wrong("TRINO_PASSWORD"),
            ("data.every_row_arrived", "training.a_training_runs_now"),
            _TRINO_REFUSES,
        ),
        Fault(
            "wrong-postgresql-password",
            _wrong("PGPASSWORD"),
            ("data.one_query_spans_the_catalogs",),
            ("password authentication failed",),
        ),
        Fault(
            "lost-rows",
            lambda platform: damage.changed_table(
                platform, "DELETE FROM {table} WHERE month = 3 AND day = 14"
            ),
            ("data.every_row_arrived",),
            ("flights has the source's 336,776 rows",),
        ),
        Fault(
            "changed-value",
            lambda platform: damage.changed_table(
                platform,
                "UPDATE {table} SET arr_delay = arr_delay + 1 "
                "WHERE month = 1 AND day = 1 AND carrier = 'UA' AND flight = 1545",
            ),
            ("data.answers_equal_duckdb",),
            ("the same answer: how late each carrier is",),
        ),
    )


def _of_the_training() -> tuple[Fault, ...]:
    return (
        Fault(
            "mlflow-down",
            lambda platform: scaled_to_zero(platform, "MLFLOW_TRACKING_URI"),
            ("training.it_beats_the_base_rate", "training.the_registry_leads_back"),
            ("MLflow does not answer: no pod behind service",),
        ),
        Fault(
            "wrong-mlflow-password",
            _wrong("MLFLOW_TRACKING_PASSWORD"),
            ("training.wrong_mlflow_passwords_are_refused",),
            ("MLflow answers 200 to the right password",),
        ),
        Fault(
            "falsified-metric",
            damage.falsified_metric,
            ("training.the_confusion_matrix_can_be_recomputed",),
            ("MLflow has the same true_positive",),
        ),
        Fault(
            "swapped-weights",
            damage.swapped_weights,
            ("training.all_ranks_hold_the_same_weights",),
            ("the registered version is that of these weights",),
        ),
        Fault(
            "untrained-version",
            damage.untrained_version,
            ("training.it_learned",),
            ("train_loss has a value an epoch",),
        ),
    )


def _of_small_trainings() -> tuple[Fault, ...]:
    """Small trainings are started by the proofs: they are broken while they run."""

    def meddled(meddle: Callable[[Any, str], None], *names: str) -> Callable[[Platform], Any]:
        return lambda platform: damage.meddling(platform, names, meddle)

    return (
        Fault(
            "strange-loss",
            meddled(damage.strange_loss, "probe-training"),
            ("training.a_training_runs_now",),
            ("MLflow has the loss of each step once",),
        ),
        Fault(
            "strange-loss-after-restart",
            meddled(damage.strange_loss, "probe-killed", "probe-damaged"),
            (
                "training.a_killed_training_ends_like_an_uninterrupted_one",
                "training.a_damaged_checkpoint_is_not_used",
            ),
            ("MLflow has the loss of each step once",),
        ),
        Fault(
            "strange-loss-of-one-rank",
            meddled(damage.strange_loss, "probe-one-rank"),
            ("training.one_rank_learns_what_two_learn",),
            ("none of them differs by more than",),
        ),
        Fault(
            "strange-straggler",
            meddled(damage.strange_straggler, "probe-straggler"),
            ("training.a_slow_rank_is_named",),
            ("MLflow has the slowest rank of each epoch once",),
        ),
        Fault(
            "strange-loss-without-room",
            meddled(damage.strange_loss, "probe-full"),
            ("training.a_full_object_store_is_named_and_loses_nothing",),
            ("MLflow has each loss of an undisturbed training once",),
        ),
        Fault(
            "strange-loss-of-horovod",
            meddled(damage.strange_loss, "probe-horovod"),
            ("training.horovod_learns_what_ddp_learns",),
            ("each loss is that of DDP, bit by bit",),
        ),
        Fault(
            "strange-loss-of-killed-horovod",
            meddled(damage.strange_loss, "probe-horovod-killed"),
            ("training.killed_horovod_ends_like_an_uninterrupted_one",),
            ("MLflow has each loss of DDP undisturbed once",),
        ),
        Fault(
            "run-said-to-be-finished",
            meddled(damage.finished_run, "probe-horovod-lost"),
            ("training.horovod_that_is_lost_for_good_says_so",),
            ("its MLflow run is FAILED",),
        ),
        Fault(
            "strange-loss-of-elastic-horovod",
            meddled(damage.strange_loss, "probe-elastic"),
            ("training.elastic_horovod_goes_on_without_a_lost_worker",),
            ("MLflow has the loss of each step once",),
        ),
        Fault(
            "lost-run",
            meddled(damage.lost_run, "probe-diverging", "probe-snapshot"),
            (
                "training.a_diverging_training_is_failed_with_its_cause",
                "training.an_unknown_snapshot_is_refused_with_its_name",
            ),
            ("its MLflow run is FAILED",),
        ),
    )


def _of_the_queue() -> tuple[Fault, ...]:
    waits = ("training.a_job_waits_for_quota", "training.an_mpi_job_waits_for_quota")
    return (
        Fault("held-queue", damage.held_queue, waits, ("the platform's queue takes jobs",)),
        Fault("generous-queue", damage.generous_queue, waits, ("the second job has no part of the quota",)),
    )


def _of_tensorflow() -> tuple[Fault, ...]:
    def strange(name: str, training: str, proof: str) -> Fault:
        return Fault(
            name,
            lambda platform: damage.meddling(platform, (training,), damage.strange_loss),
            (proof,),
            ("MLflow has the loss of each step once",),
        )

    return (
        strange(
            "strange-loss-of-tensorflow",
            "probe-tensorflow",
            "training.tensorflow_learns_what_pytorch_learns",
        ),
        strange(
            "strange-loss-of-tensorflow-after-restart",
            "probe-tensorflow-killed",
            "training.a_killed_tensorflow_training_ends_like_an_uninterrupted_one",
        ),
        strange(
            "strange-loss-of-all-months-in-tensorflow",
            "probe-tensorflow-reference",
            "training.tensorflow_is_as_good_as_pytorch",
        ),
        Fault(
            "lost-run-of-tensorflow",
            lambda platform: damage.meddling(platform, ("probe-tensorflow-diverging",), damage.lost_run),
            ("training.a_diverging_tensorflow_training_is_failed_with_its_cause",),
            ("its MLflow run is FAILED",),
        ),
    )


def _of_the_tuning() -> tuple[Fault, ...]:
    counted = ("tuning.a_study_ends_with_exactly_its_trials",)
    return (
        Fault("doubled-trial", damage.doubled_trial, counted, ("no trial has two results",)),
        Fault(
            "lost-trial",
            lambda platform: damage.changed_trial(platform, "PRUNED", "FAIL"),
            counted,
            ("no trial that was asked for is lost",),
        ),
        Fault(
            "trial-left-running",
            lambda platform: damage.changed_trial(platform, "PRUNED", "RUNNING"),
            counted,
            ("no trial is left running or waiting",),
        ),
        Fault(
            "lost-try",
            damage.lost_try,
            ("tuning.killed_workers_lose_no_trial",),
            ("each lost try was tried again once", "trials are numbered once each"),
        ),
        Fault(
            "unpruned-trial",
            lambda platform: damage.changed_trial(platform, "PRUNED", "COMPLETE"),
            ("tuning.hopeless_trials_are_cut_short",),
            ("ran all epochs",),
        ),
        Fault(
            "another-trial-registered",
            damage.another_best_trial,
            ("tuning.the_best_trial_is_registered",),
            ("the version names the best trial",),
        ),
        Fault(
            "dashboard-down",
            lambda platform: scaled_to_zero(platform, "OPTUNA_DASHBOARD_URL"),
            ("tuning.the_dashboard_shows_the_study",),
            ("Optuna's dashboard does not answer: no pod behind service",),
        ),
    )


def _of_the_gateway() -> tuple[Fault, ...]:
    """What the Gateway refuses must be refused by its policies, and by nothing else."""

    def aside(plural: str) -> Callable[[Platform], AbstractContextManager[None]]:
        return lambda platform: damage_serving.policy_aside(platform, plural)

    return (
        Fault(
            "certificate-of-another",
            damage_serving.certificate_of_another,
            ("serving.the_gateway_is_known_by_its_certificate",),
            ("certificate is not valid for",),
        ),
        Fault(
            "open-gateway",
            aside("securitypolicies"),
            ("serving.only_a_tenants_key_opens_the_gateway",),
            ("a request without a key is refused",),
        ),
        Fault(
            "boundless-gateway",
            aside("backendtrafficpolicies"),
            (
                "serving.a_tenant_cannot_send_more_than_its_share",
                "serving.a_request_that_is_too_large_is_refused",
            ),
            ("one is refused with 429", "are refused with 413"),
        ),
        Fault(
            "nobody-renews",
            damage_serving.nobody_renews,
            ("serving.a_certificate_is_renewed_before_its_end",),
            ("for the Gateway to serve the next certificate",),
        ),
    )


def _of_models() -> tuple[Fault, ...]:
    return (
        Fault(
            "wrong-model-file",
            damage_models.wrong_model_file,
            ("serving.one_chain_leads_from_an_answer_to_its_data",),
            ("they are the files of the registered version",),
        ),
        Fault(
            "other-preprocessing",
            damage_models.wrong_model_file,
            ("serving.all_protocols_and_mlflow_agree",),
            ("MLflow predicts the same in the training's image",),
        ),
        Fault(
            "other-predictions",
            damage_models.other_predictions,
            ("serving.it_predicts_what_the_training_logged",),
            ("each prediction is the one that was logged",),
        ),
        Fault(
            "busy-model",
            damage_models.busy_model,
            ("serving.what_does_not_fit_never_reaches_the_model",),
            ("the model was not called",),
        ),
        Fault(
            "unwatched-models",
            damage_models.unwatched_models,
            ("serving.models_are_watched",),
            ("Prometheus counts the requests",),
        ),
        Fault(
            "hurried-end",
            damage_models.hurried_end,
            ("serving.a_server_that_is_told_to_end_answers_for_a_while",),
            ("it answers while it ends", "it says that it is not ready"),
        ),
        Fault(
            "kserve-down",
            damage_models.kserve_down,
            ("serving.a_model_whose_files_were_changed_is_not_served",),
            ("failed calling webhook",),
        ),
        Fault(
            "held-version",
            damage_models.held_version,
            ("serving.nothing_is_left_of_what_was_withdrawn",),
            ("does not go away",),
        ),
    )


def _of_rollouts() -> tuple[Fault, ...]:
    def fault(name: str, breaks: Callable[[Platform], Any], proof: str, *words: str) -> Fault:
        return Fault(name, breaks, (f"rollout.{proof}",), words, seconds=900.0)

    return (
        fault(
            "killed-proxy",
            damage_rollouts.killed_proxy,
            "a_promotion_loses_no_request",
            "each of 10,000 requests was answered 2xx",
        ),
        fault(
            "no-retries",
            damage_rollouts.no_retries,
            "a_killed_model_server_fails_no_request",
            "each request was answered 2xx while servers were killed",
        ),
        fault(
            "hurried-service",
            damage_rollouts.hurried_service,
            "the_application_is_rolled_out_alone",
            "each of 10,000 quotes was answered 2xx",
        ),
        fault(
            "unexpected-requests",
            damage_rollouts.unexpected_requests,
            "a_canary_without_traffic_fails",
            "a canary without traffic is rolled back",
        ),
        fault(
            "unwatched-versions",
            damage_models.unwatched_models,
            "a_bad_canary_is_rolled_back",
            "Prometheus has not counted the requests",
        ),
        fault(
            "forgotten-rollout",
            damage_rollouts.forgotten_rollout,
            "a_lost_rollout_is_gone_on_with",
            "it was lost in its second step",
            "was taken over by another call",
            "a rollout of version",
            "the same call goes on to its end",
            "it is the same rollout",
        ),
        fault(
            "lost-shadow",
            damage_rollouts.lost_shadow,
            "a_shadow_gets_copies_and_nobody_sees_its_answers",
            "the shadow got 200 copies",
        ),
    )


def _of_the_reaction() -> tuple[Fault, ...]:
    def fault(name: str, breaks: Callable[[Platform], Any], proof: str, *words: str) -> Fault:
        return Fault(name, breaks, (f"reaction.{proof}",), words, seconds=900.0)

    return (
        fault(
            "forgotten-canary",
            damage_reaction.forgotten_canary,
            "an_alert_about_a_version_is_answered_by_its_rollback",
            "the rollback was done",
        ),
        fault(
            "short-memory",
            damage_reaction.short_memory,
            "an_alert_that_comes_and_goes_acts_once",
            "a decision 'cooldown'",
            "there was one rollback",
        ),
        fault(
            "lost-intents",
            damage_reaction.lost_intents,
            "a_killed_controller_acts_once",
            "the intent is there, and open",
            "it was done once",
        ),
        fault(
            "lost-pages",
            damage_reaction.lost_pages,
            "what_is_left_to_people_is_told_them_once",
            "the intent is there, and open",
            "one page arrived",
        ),
        fault(
            "falsified-scores",
            damage_reaction.falsified_scores,
            "a_version_that_is_not_better_gets_no_traffic",
            "the new version is not better",
        ),
        fault(
            "lost-scores",
            damage_reaction.lost_scores,
            "drift_is_answered_by_a_better_version",
            "the retraining was done",
        ),
    )


def _of_experiments() -> tuple[Fault, ...]:
    def fault(name: str, breaks: Callable[[Platform], Any], proof: str, *words: str) -> Fault:
        return Fault(name, breaks, (f"experiments.{proof}",), words, seconds=600.0)

    return (
        fault(
            "other-weights",
            damage_rollouts.other_weights,
            "the_gateway_splits_as_asked",
            "answers 90% of the requests",
            "answers 10% of the requests",
        ),
        fault(
            "lost-variants",
            damage_rollouts.lost_variants,
            "a_variant_always_meets_its_version",
            "are to answer, there answer",
            "always meets the same version",
        ),
        fault(
            "invented-outcomes",
            damage_rollouts.invented_outcomes,
            "a_bandit_that_is_fed_nothing_holds",
            "it says that it holds the weights",
            "so does one that is made anew",
            "the weights are as they were",
        ),
        fault(
            "turned-outcomes",
            damage_rollouts.turned_outcomes,
            "the_bandit_finds_the_better_version",
            "another outcome is recorded",
        ),
    )


def _of_the_feedback() -> tuple[Fault, ...]:
    def fault(name: str, breaks: Callable[[Platform], Any], proof: str, *words: str) -> Fault:
        return Fault(name, breaks, (f"feedback.{proof}",), words, seconds=1200.0)

    return (
        fault(
            "lost-predictions",
            damage_feedback.lost_predictions,
            "a_killed_shipper_loses_and_doubles_nothing",
            "the lake has each row of the log once",
        ),
        fault(
            "postdated-corrections",
            damage_feedback.postdated_corrections,
            "a_correction_arrives",
            "the corrections are in the lake",
        ),
        fault(
            "strict-clocks",
            damage_feedback.strict_clocks,
            "clocks_that_differ_lose_nothing",
            "each counts once, by its outcome",
        ),
        fault(
            "everybody-operates",
            damage_feedback.everybody_operates,
            "only_its_tenant_and_operators_tell_an_outcome",
            "another tenant gets 404 for",
        ),
        fault(
            "flattering-view",
            damage_feedback.flattering_view,
            "live_quality_is_that_of_the_rows",
            "are those of its rows",
        ),
    )


def _of_drift() -> tuple[Fault, ...]:
    def fault(name: str, breaks: Callable[[Platform], Any], proof: str, *words: str) -> Fault:
        return Fault(name, breaks, (f"drift.{proof}",), words, seconds=900.0)

    return (
        fault(
            "wrong-label",
            damage_drift.wrong_label,
            "a_shift_is_called_and_nothing_else",
            "for Prometheus to show",
        ),
        fault(
            "healed-shift",
            damage_drift.healed_shift,
            "a_shift_is_called_and_nothing_else",
            "call the shifted column changed",
            "for Prometheus to show",
            "FeatureDrifts of probe_drift to be received",
            "the flights are called so still",
        ),
        fault(
            "muted-drift",
            damage_drift.muted,
            "a_column_that_is_gone_is_named",
            "to load the alerts of probe_drift",
            "SchemaChanged of probe_drift to be received",
        ),
        fault(
            "refilled-feed",
            damage_drift.refilled_feed,
            "a_feed_that_is_cut_is_told_of",
            "say that the feed starves",
            "for Prometheus to show",
            "DriftDetectorStarved of probe_drift to be received",
            "it is said as long as nothing comes",
        ),
        fault(
            "healed-scores",
            damage_drift.healed_scores,
            "predictions_that_shift_are_called",
            "call the scores changed",
            "for Prometheus to show",
            "PredictionsDrift of probe_drift to be received",
            "the scores are half as high still",
        ),
    )


def _of_the_booking() -> tuple[Fault, ...]:
    return (
        Fault(
            "falsified-log",
            damage_booking.falsified_log,
            ("serving.a_quote_is_that_of_the_model_and_is_logged_once",),
            ("its row in the log says the same",),
        ),
        Fault(
            "invented-airline",
            damage_booking.invented_airline,
            ("serving.a_question_that_makes_no_sense_gets_no_quote",),
            ("is refused with 422",),
        ),
        Fault(
            "impostor",
            damage_booking.impostor,
            ("serving.without_the_model_there_is_no_quote",),
            ("without the model a quote is refused with 503",),
        ),
        Fault(
            "apart",
            damage_booking.apart,
            ("serving.the_service_is_on_the_node_of_its_model",),
            ("each pod of the service is on a node of its model",),
        ),
    )


def _of_scaling() -> tuple[Fault, ...]:
    return (
        Fault(
            "blind-adapter",
            damage_scaling.blind_adapter,
            ("serving.what_pods_are_scaled_by_can_be_read",),
            ("the metric model_requests_per_second cannot be read",),
        ),
        Fault(
            "held-number",
            damage_scaling.held_number,
            ("serving.model_and_service_are_scaled_out_together",),
            ("for model and service to be scaled out",),
            seconds=600.0,
        ),
    )


def _of_monitoring() -> tuple[Fault, ...]:
    alerts = ("monitoring.every_dead_server_is_told_of",)
    others = ("monitoring.every_other_alert_is_told_of",)
    return (
        Fault("muted-alert", damage_alerts.muted, alerts, (damage_alerts.ALERT,), seconds=1200.0),
        Fault("unheard-rules", damage_alerts.unheard, alerts, (damage_alerts.ALERT,), seconds=1200.0),
        Fault("uncaused-alert", damage_alerts.uncaused, others, (damage_alerts.NOBODYS,), seconds=2700.0),
        Fault(
            "muted-target",
            lambda platform: damage_alerts.muted(platform, "TargetDown"),
            others,
            ("TargetDown to be received as firing",),
            seconds=2700.0,
        ),
        Fault(
            "muted-heartbeat",
            lambda platform: damage_alerts.muted(platform, alarms.HEARTBEAT),
            ("monitoring.a_dead_prometheus_is_told_of",),
            ("its silence not waited for",),
            seconds=1800.0,
        ),
        Fault(
            "nervous-rule",
            damage_alerts.nervous,
            ("monitoring.half_an_hour_of_load_raises_no_alarm",),
            (damage_alerts.NERVOUS,),
            seconds=1800.0,
            shortened=lambda: damage_alerts.calm_for(minutes=2),
        ),
        Fault(
            "panel-of-nobody",
            damage_monitoring.panel_of_nobody,
            ("monitoring.every_panel_has_data",),
            ("Probe: Renamed shows something",),
            seconds=600.0,
        ),
    )


EVERY = (
    *_of_the_platform(),
    *_of_the_data(),
    *_of_the_training(),
    *_of_small_trainings(),
    *_of_the_queue(),
    *_of_tensorflow(),
    *_of_the_tuning(),
    *_of_the_gateway(),
    *_of_models(),
    *_of_rollouts(),
    *_of_the_reaction(),
    *_of_experiments(),
    *_of_the_booking(),
    *_of_the_feedback(),
    *_of_drift(),
    *_of_scaling(),
    *_of_monitoring(),
)
FAULTS = {fault.name: fault for fault in EVERY}
"""By name: of two that had the same one, only the last would ever break anything."""


def during_training(
    platform: Platform, image: str, hook: Callable[[dict[str, str]], None], deadline: float = 300
) -> dict[str, Any] | ClientError:
    """Start a training, call `hook` with the node of each rank once all run, and say how it ended."""
    name = "train-delay"
    objects = workloads.manifest("train_delay", image, **client.offers(platform))
    client.deploy(platform, name, objects, wait=False)
    (job,) = client.jobs.jobs(platform, objects)

    def pods() -> list[Any]:
        found = platform.core.list_namespaced_pod(job.namespace, label_selector=job.selector)
        return [pod for pod in found.items if pod.status.phase == "Running"]

    until(lambda: len(pods()) == 2, "both ranks to run")
    hook({client.pods.key(pod): pod.spec.node_name for pod in pods()})
    try:
        return client.jobs.follow(job, deadline).messages
    except ClientError as error:
        return error
