import pytest
import torch

from lumosx_core.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = orthogonalised(1000 * matrix)
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.4 and values.max() < 1.4
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(made.flatten(), (u @ v).flatten(), dim=0) > 0.9


def test_convolutions_and_biases_learn():
    torch.manual_seed(0)
    layer, wanted = torch.nn.Conv2d(3, 5, 3), torch.nn.Conv2d(3, 5, 3).requires_grad_(False)
    seen = torch.randn(8, 3, 9, 9)
    optimizer = Muon([{"params": layer.parameters()}], lr=0.02, vector_part=0.5)

    def loss():
        return (layer(seen) - wanted(seen)).square().mean()

    before = loss().item()
    for _ in range(150):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.02 * before
    assert torch.allclose(layer.bias, wanted.bias, atol=0.1)


def test_it_goes_on_from_its_state():
    def steps(optimizer, weight, first, last):
        for step in range(first, last):
            for part in weight:
                part.grad = torch.randn(part.shape, generator=torch.Generator().manual_seed(step))
            optimizer.step()

    def start():
        weight = [torch.ones(4, 6), torch.ones(4)]
        return weight, Muon([{"params": weight}], lr=0.1)

    whole, optimizer = start()
    steps(optimizer, whole, 0, 6)
    half, optimizer = start()
    steps(optimizer, half, 0, 3)
    resumed, other = start()
    other.load_state_dict(optimizer.state_dict())
    for to, of in zip(resumed, half):
        to.copy_(of)
    steps(other, resumed, 3, 6)
    assert all(torch.equal(one, two) for one, two in zip(whole, resumed))


def test_a_single_row_is_moved_as_a_vector_and_loses_nothing_to_decay():
    grad = torch.tensor([[3.0, -0.5, 1e-3]])
    row, vector = (torch.ones(shape) for shape in ((1, 3), (3,)))
    row.grad, vector.grad = grad, grad[0]
    Muon([{"params": [row, vector]}], lr=0.1, vector_part=0.5, weight_decay=0.5).step()
    expected = 1 - 0.05 * grad.sign()
    torch.testing.assert_close(row, expected, rtol=1e-4, atol=0)
    assert torch.equal(row[0], vector)
