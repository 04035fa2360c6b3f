"""How good the predictions are, in NumPy alone, so that a proof can compute it again from the logged
predictions.
"""

from typing import Any

import numpy as np

from workloads.train_delay.config import TrainDelay

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.parquet"
"""What a run keeps of its test: the report, and each flight of it with its score."""
PREDICTIONS_AGAINST = "predictions_against.parquet"
"""The same flights with the scores of the version that it was tested against."""


def report(settings: TrainDelay, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """The numbers of the test month, and what is needed to draw them."""
    return {
        "test_months": settings.test_months,
        "late_minutes": settings.late_minutes,
        "threshold": settings.threshold,
        "rows": len(labels),
        "metrics": summary(labels, scores, settings.threshold),
        "confusion": confusion(labels, scores, settings.threshold),
        "roc": roc_points(labels, scores),
    }


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, int]:
    """Counts of the four outcomes; late is positive."""
    truth, said = labels > 0.5, scores >= threshold
    return {
        "true_positive": int(np.sum(truth & said)),
        "false_positive": int(np.sum(~truth & said)),
        "false_negative": int(np.sum(truth & ~said)),
        "true_negative": int(np.sum(~truth & ~said)),
    }


def summary(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """Accuracy, precision, recall, ROC-AUC, and what always saying "on time" would reach."""
    c = confusion(labels, scores, threshold)
    said, late = c["true_positive"] + c["false_positive"], c["true_positive"] + c["false_negative"]
    right = c["true_positive"] + c["true_negative"]
    share = late / len(labels)
    return {
        "accuracy": right / len(labels),
        "precision": c["true_positive"] / said if said else 0.0,
        "recall": c["true_positive"] / late if late else 0.0,
        "roc_auc": roc_auc(labels, scores),
        "late_share": share,
        "base_accuracy": max(share, 1 - share),
    }


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a late flight scores above one on time, ties counted half."""
    late = int(np.sum(labels > 0.5))
    on_time = len(labels) - late
    if not late or not on_time:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[inverse][labels > 0.5].sum() - late * (late + 1) / 2) / (late * on_time))


def roc_points(labels: np.ndarray, scores: np.ndarray, points: int = 101) -> list[list[float]]:
    """At most `points` pairs (false positive rate, true positive rate) from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    truth = labels[order] > 0.5
    true, false = np.cumsum(truth), np.cumsum(~truth)
    where = np.unique(np.linspace(0, len(labels) - 1, points).astype(int))
    curve = np.stack([false[where] / max(false[-1], 1), true[where] / max(true[-1], 1)], axis=1)
    return [[0.0, 0.0], *np.round(curve, 5).tolist()]
