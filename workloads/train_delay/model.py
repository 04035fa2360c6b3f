"""The network: an embedding for each category, two hidden layers, one number that says how likely the flight
is late.
"""

import hashlib

import torch
from torch import nn


class DelayClassifier(nn.Module):
    """Takes the matrix that `Preprocessing.apply` makes and gives the logit of "late"."""

    def __init__(self, sizes: list[int], numeric: int, hidden: int) -> None:
        super().__init__()
        widths = [min(16, (size + 1) // 2) for size in sizes]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width) for size, width in zip(sizes, widths, strict=True)
        )
        self.layers = nn.Sequential(
            nn.Linear(sum(widths) + numeric, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            nn.Linear(hidden // 2, 1),
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        count = len(self.embeddings)
        codes = rows[:, :count].long()
        embedded = [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        return self.layers(torch.cat([*embedded, rows[:, count:]], dim=1)).squeeze(1)


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over all weights, by name: equal only if every bit is."""
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        whole.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()
