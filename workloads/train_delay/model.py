"""The network of shape.py in PyTorch."""

import hashlib

import torch
from torch import nn

from workloads.train_delay.shape import Shape, Weights


class DelayClassifier(nn.Module):
    """Takes the matrix that `Preprocessing.apply` makes and gives the logit of "late"."""

    def __init__(self, sizes: list[int], numeric: int, hidden: int) -> None:
        super().__init__()
        shape = Shape(sizes, numeric, hidden)
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width) for size, width in zip(sizes, shape.widths, strict=True)
        )
        first, second, last = (nn.Linear(*layer) for layer in shape.layers)
        self.layers = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        count = len(self.embeddings)
        codes = rows[:, :count].long()
        embedded = [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        return self.layers(torch.cat([*embedded, rows[:, count:]], dim=1)).squeeze(1)

    def take(self, weights: Weights) -> None:
        """Have these weights."""
        ours = [table.weight for table in self.embeddings]
        theirs = list(weights.embeddings)
        for layer, (kernel, bias) in zip(self.layers[::2], weights.layers, strict=True):
            ours += [layer.weight, layer.bias]
            theirs += [kernel.T, bias]
        with torch.no_grad():
            for parameter, array in zip(ours, theirs, strict=True):
                parameter.copy_(torch.from_numpy(array))


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over all weights, by name: equal only if every bit is."""
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        whole.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()
