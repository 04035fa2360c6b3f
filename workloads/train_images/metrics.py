"""How good the answers are, from the counts of truth against answer."""

from collections.abc import Sequence
from typing import Any

MOST_CLASSES = 20
"""With more of them the confusion matrix is not told."""


def confusion(truth: Sequence[int], said: Sequence[int], classes: int) -> list[list[int]]:
    """Row: the true class; column: the answer."""
    counts = [[0] * classes for _ in range(classes)]
    for true, answer in zip(truth, said, strict=True):
        counts[true][answer] += 1
    return counts


def summary(counts: list[list[int]]) -> dict[str, Any]:
    """Accuracy, and precision and recall as the mean over the classes (0 where a class was never said, or
    never there), with those of each class and all counts where the classes are few.
    """
    classes = range(len(counts))
    said = [sum(row[c] for row in counts) for c in classes]
    there = [sum(counts[c]) for c in classes]
    precision = [counts[c][c] / said[c] if said[c] else 0.0 for c in classes]
    recall = [counts[c][c] / there[c] if there[c] else 0.0 for c in classes]
    found: dict[str, Any] = {
        "accuracy": sum(counts[c][c] for c in classes) / sum(there),
        "precision": sum(precision) / len(counts),
        "recall": sum(recall) / len(counts),
        "images": sum(there),
    }
    if len(counts) <= MOST_CLASSES:
        found["precision_of_class"] = [round(value, 4) for value in precision]
        found["recall_of_class"] = [round(value, 4) for value in recall]
        found["confusion"] = counts
    return found
