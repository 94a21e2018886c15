"""The posture encoder carries what it sees along the body, and is small."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from c2vl_serve.skeleton.layout import BODY15  # noqa: E402
from c2vl_training.model.posture import JointBlock, PostureConfig, PostureEncoder  # noqa: E402
from tests.training.made_windows import windows  # noqa: E402


def test_a_joint_is_felt_along_the_body_only() -> None:
    """One layer carries a wrist to the elbow, and not to the other hand."""
    torch.manual_seed(1)
    config = PostureConfig()
    graph = PostureEncoder(10, 15, config).joints[0].graph.adjacency
    layer = JointBlock(4, 3, graph).eval()
    x = torch.rand(1, 4, 6, 15)
    moved = x.clone()
    moved[:, :, 3, BODY15.index("l_wrist")] += 1
    seen = torch.ones(1, 1, 6, 1)
    with torch.no_grad():
        felt = (layer(moved, seen) != layer(x, seen)).any(dim=1)[0]  # T V
    assert felt[2:5, BODY15.index("l_elbow")].any()
    assert not felt[:, BODY15.index("r_wrist")].any()
    assert not felt[[0, 1, 5]].any()


def test_sizes_of_the_default() -> None:
    """Counted by torch, two for a multiplication and an addition."""
    encoder = PostureEncoder(10, 15, PostureConfig()).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        y = encoder(windows(1, num_frames=64))
    assert y.shape == (1, encoder.num_features)
    assert sum(value.numel() for value in encoder.parameters()) < 1e6
    assert counter.get_total_flops() < 0.1e9
