"""Multi-head self-attention."""

from torch import Tensor, nn
from torch.nn import functional

from harness.backend import Origin
from harness.spec.architecture import head_size
from harness.spec.layers import Attention

# nn.MultiheadAttention keeps query, key and value in one tensor, of which clips and optimizers would see one norm.
ORIGIN = Origin("native", "scaled_dot_product_attention")


class SelfAttention(nn.Module):
    """softmax(QKᵀ/√k)V of each head, joined, of (samples, time, features), between four linear maps."""

    def __init__(self, layer: Attention, features: int) -> None:
        super().__init__()
        self.heads, self.causal = layer.heads, layer.causal
        inner = layer.heads * head_size(layer, features)
        self.query = nn.Linear(features, inner)
        self.key = nn.Linear(features, inner)
        self.value = nn.Linear(features, inner)
        self.output = nn.Linear(inner, features)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._heads(self.query(x)), self._heads(self.key(x)), self._heads(self.value(x))
        joined = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2)
        y: Tensor = self.output(joined.flatten(2))
        return y

    def _heads(self, x: Tensor) -> Tensor:
        """(samples, time, heads · size) → (samples, heads, time, size)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
