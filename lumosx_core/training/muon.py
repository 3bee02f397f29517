"""Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024), with Adam for vectors."""

from __future__ import annotations

from collections.abc import Iterable

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
_BETAS, _EPSILON = (0.9, 0.98), 1e-8


class Muon(torch.optim.Optimizer):
    """Moves a matrix, or a convolution as the matrix of its outputs, by its orthogonalised momentum.

    Args:
        groups: of float32 parameters.
        lr: of matrices.
        vector_part: the rate of vectors, such as biases, as a part of ``lr``; a single row is a vector too.
        weight_decay: of matrices, in parts of the rate.
    """

    def __init__(self, groups: Iterable, lr: float, vector_part: float = 0.1, weight_decay: float = 0.01) -> None:
        super().__init__(groups, {"lr": lr, "vector_part": vector_part, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyrefly: ignore[bad-override] It takes no closure.
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if weight.ndim > 1 and weight.shape[0] > 1:
                    self._move_matrix(weight, weight.grad, group["lr"], group["weight_decay"])
                else:
                    self._move_vector(weight, weight.grad, group["lr"] * group["vector_part"])

    def _move_matrix(self, weight: torch.Tensor, grad: torch.Tensor, rate: float, decay: float) -> None:
        state = self.state[weight]
        momentum = state.setdefault("momentum", torch.zeros_like(weight)).mul_(_MOMENTUM).add_(grad)
        change = orthogonalised(grad.add(momentum, alpha=_MOMENTUM).flatten(1)).view_as(weight)
        tall = max(1.0, weight.shape[0] / weight[0].numel()) ** 0.5
        weight.mul_(1 - rate * decay).add_(change, alpha=-rate * tall)

    def _move_vector(self, weight: torch.Tensor, grad: torch.Tensor, rate: float) -> None:
        state = self.state[weight]
        step = state["step"] = state.get("step", 0) + 1
        first, second = _BETAS
        mean = state.setdefault("mean", torch.zeros_like(weight)).lerp_(grad, 1 - first)
        square = state.setdefault("square", torch.zeros_like(weight)).lerp_(grad.square(), 1 - second)
        spread = (square / (1 - second**step)).sqrt_().add_(_EPSILON)
        weight.addcdiv_(mean, spread, value=-rate / (1 - first**step))


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with all its singular values near 1, by Newton-Schulz iterations in bf16; float32."""
    a, b, c = _COEFFICIENTS
    flat = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    flat = (flat / (flat.norm() + 1e-7)).bfloat16()
    for _ in range(_ITERATIONS):
        gram = flat @ flat.T
        flat = a * flat + (b * gram + c * gram @ gram) @ flat
    flat = flat.float()
    return flat.T if matrix.shape[0] > matrix.shape[1] else flat
