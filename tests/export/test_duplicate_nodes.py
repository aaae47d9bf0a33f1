"""What a network computes twice, or holds twice, stands in its file once."""

from pathlib import Path

import numpy as np
import torch
from export_support import lower_module, nhwc, run_tflite
from torch import Tensor, nn

from sweep.export.writer import write_tflite


class Twins(nn.Module):
    """One convolution applied twice to the same features, and another with equal weights."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.other.load_state_dict(self.one.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        first, second, third = self.one(features), self.one(features), self.other(features)
        return torch.relu(first) + torch.relu(second) * torch.relu(third)


def test_equal_nodes_and_equal_constants_become_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, features = Twins().eval(), torch.randn(1, 4, 8, 8)
    graph = lower_module(module, features)
    assert [operator.builtin for operator in graph.operators] == ["CONV_2D", "MUL", "ADD"]
    assert sum(tensor.data is not None for tensor in graph.tensors) == 2
    path = tmp_path / "twins.tflite"
    path.write_bytes(write_tflite(graph, ""))
    found = run_tflite(path, nhwc(features))
    with torch.no_grad():
        np.testing.assert_allclose(found, nhwc(module(features)), rtol=1e-5, atol=1e-6)
