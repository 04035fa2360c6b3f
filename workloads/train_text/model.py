"""A GPT as GPT-2 is made (pre-norm, learned positions, last layer shared with the embedding), over bytes."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from workloads.train_text.config import TrainText

VOCABULARY = 256
"""A byte is a token."""


class Block(nn.Module):
    """Attention, then a perceptron, each added to what came in: (batch, context, width) in and out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron_in = nn.Linear(width, 4 * width)
        self.perceptron_out = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention_out(self.attend(self.attention_norm(x)))
        inner = F.gelu(self.perceptron_in(self.perceptron_norm(x)), approximate="tanh")
        return x + self.perceptron_out(inner)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        batch, context, width = x.shape
        parts = self.query_key_value(x).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return seen.transpose(1, 2).reshape(batch, context, width)


class Gpt(nn.Module):
    """Bytes (batch, context) in, logits of the next byte (batch, context, 256) out."""

    def __init__(self, settings: TrainText) -> None:
        super().__init__()
        width = settings.width
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(settings.context, width)
        self.blocks = nn.ModuleList(Block(width, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.embedding.weight
        self.apply(_initialise)
        for name, weight in self.named_parameters():
            if name.endswith("_out.weight"):
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * settings.layers))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(self.norm(x))
        return logits


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
