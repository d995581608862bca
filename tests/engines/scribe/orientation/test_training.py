"""The training code: made pages, the net's two definitions, the large variant."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training extra is not installed")

from engines.scribe.orientation.crops import SIDE  # noqa: E402
from engines.scribe.orientation.training.net import TurnNet, turned  # noqa: E402


def test_both_definitions_of_the_net_agree() -> None:
    from engines.scribe.orientation import port
    from engines.scribe.session import callable_graph

    torch.manual_seed(3)
    net = TurnNet()
    crops = torch.randint(0, 256, (4, SIDE, SIDE), dtype=torch.uint8)
    net(crops)  # BatchNorm's statistics become others than at the start
    net.eval()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    found = callable_graph(port.graph(weights), "crops", "turns")(crops.numpy())
    np.testing.assert_allclose(found, net(crops).detach().numpy(), atol=1e-4)


def test_turns_are_counted_clockwise() -> None:
    crop = torch.zeros((1, 4, 4), dtype=torch.uint8)
    crop[0, 0, 3] = 1  # top right
    pixels, quarters = turned(crop)
    corners = [tuple(np.argwhere(image.numpy())[0].tolist()) for image in pixels]
    assert corners == [(0, 3), (3, 3), (3, 0), (0, 0)]
    assert quarters.tolist() == [0, 1, 2, 3]


@pytest.mark.slow
def test_the_large_variant_builds_without_weights() -> None:
    pytest.importorskip("keras")
    from engines.scribe.orientation.training.inception import build

    model = build(None)
    assert model(np.zeros((2, SIDE, SIDE), np.uint8)).shape == (2, 4)
