"""Metrics that a test can look at."""

from collections import Counter

from deployments.metrics import METRICS, NoMetrics


class Counted(NoMetrics):
    """What was counted, by name and the values of the labels in their order; as strict with labels as Ray."""

    def __init__(self) -> None:
        self.counts = Counter[tuple[str, ...]]()

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        assert set(labels) == set(METRICS[name].labels)
        self.counts[name, *(labels[label] for label in METRICS[name].labels)] += int(amount)
