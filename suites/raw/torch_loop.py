"""PyTorch, eager."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Start = Mapping[str, np.ndarray]
WIDTH, HEADS, BLOCKS, TIMES = 32, 4, 2, 8  # of the transformer


def make(architecture: str, x: np.ndarray, y: np.ndarray, start: Start) -> Callable[[np.ndarray], np.ndarray]:
    """A function that trains on rows of indices and returns the losses."""
    inputs, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    model = ARCHITECTURES[architecture](start)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

    def train(order: np.ndarray) -> np.ndarray:
        losses = []
        for row in torch.as_tensor(order).unbind(0):
            loss = functional.cross_entropy(model(inputs[row]), labels[row])
            losses.append(loss.detach())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return torch.stack(losses).numpy()

    return train


def mlp(start: Start) -> nn.Module:
    """64-64-64-10 with ReLU."""
    return nn.Sequential(
        _linear(start, "dense1"), nn.ReLU(), _linear(start, "dense2"), nn.ReLU(), _linear(start, "dense3")
    )


def cnn(start: Start) -> nn.Module:
    """Two convolutions with pools, two linear layers; channels last, which torch recommends and is quicker here."""
    first = start["dense1.weight"].reshape(2, 2, 32, 64).transpose(2, 0, 1, 3).reshape(128, 64)  # NHWC → NCHW
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        _convolution(start, "conv2d1"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        _convolution(start, "conv2d2"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        _linear({"dense1.weight": first, "dense1.bias": start["dense1.bias"]}, "dense1"),
        nn.ReLU(),
        _linear(start, "dense2"),
    )
    return model.to(memory_format=torch.channels_last)


class RowLSTM(nn.Module):
    """``nn.LSTM`` over the rows of an image, and a linear layer."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 64, batch_first=True)
        with torch.no_grad():
            for own, name in (("weight_ih_l0", "weight"), ("weight_hh_l0", "recurrent"), ("bias_ih_l0", "bias")):
                self.lstm.get_parameter(own).copy_(torch.as_tensor(start[f"lstm1.{name}"].T))
            self.lstm.bias_hh_l0.zero_().requires_grad_(False)
        self.head = _linear(start, "dense1")

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        _, (h, _) = self.lstm(x.view(-1, 8, 8))
        out: Tensor = self.head(h[-1])
        return out


class Attention(nn.Module):
    """Self-attention by the fused kernel."""

    def __init__(self, start: Start, name: str) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (
            _linear({"l.weight": start[f"{name}.{role}"], "l.bias": start[f"{name}.{role}_bias"]}, "l")
            for role in ("query", "key", "value", "output")
        )

    def forward(self, x: Tensor) -> Tensor:
        """(samples, time, features) to the same."""
        q, k, v = (
            m(x).view(-1, TIMES, HEADS, WIDTH // HEADS).transpose(1, 2) for m in (self.query, self.key, self.value)
        )
        joined = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, TIMES, WIDTH)
        out: Tensor = self.out(joined)
        return out


class Transformer(nn.Module):
    """Rows, learned positions, pre-norm blocks, the mean over time."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.embed = _linear(start, "dense1")
        self.position = nn.Parameter(torch.as_tensor(start["position1.weight"], dtype=torch.float32))
        self.attend, self.think = nn.ModuleList(), nn.ModuleList()
        for block in range(BLOCKS):
            one, two = f"residual{2 * block + 1}", f"residual{2 * block + 2}"
            self.attend.append(nn.Sequential(nn.LayerNorm(WIDTH), Attention(start, f"{one}.attention1")))
            up, down = _linear(start, f"{two}.dense1"), _linear(start, f"{two}.dense2")
            self.think.append(nn.Sequential(nn.LayerNorm(WIDTH), up, nn.GELU(), down))
        self.norm, self.head = nn.LayerNorm(WIDTH), _linear(start, "dense2")

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.embed(x.view(-1, 8, 8)) + self.position
        for attend, think in zip(self.attend, self.think, strict=True):
            x = x + attend(x)
            x = x + think(x)
        out: Tensor = self.head(self.norm(x).mean(dim=1))
        return out


def _linear(start: Start, name: str) -> nn.Linear:
    weight = start[f"{name}.weight"]
    made = nn.Linear(*weight.shape)
    with torch.no_grad():
        made.weight.copy_(torch.as_tensor(weight.T))
        made.bias.copy_(torch.as_tensor(start[f"{name}.bias"]))
    return made


def _convolution(start: Start, name: str) -> nn.Conv2d:
    weight = start[f"{name}.weight"]
    made = nn.Conv2d(weight.shape[2], weight.shape[3], 3, padding=1)
    with torch.no_grad():
        made.weight.copy_(torch.as_tensor(weight.transpose(3, 2, 0, 1)))
        made.bias.copy_(torch.as_tensor(start[f"{name}.bias"]))
    return made


ARCHITECTURES = {"mlp": mlp, "cnn": cnn, "lstm": RowLSTM, "transformer": Transformer}
