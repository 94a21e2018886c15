"""The posture encoder does not see what is not there, is small, and learns."""

from dataclasses import asdict

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_serve.skeleton.layout import BODY15  # noqa: E402
from c2vl_training.model.encoders import build_encoder, encoder_config  # noqa: E402
from c2vl_training.model.posture import JointBlock, PostureConfig, PostureEncoder  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig  # noqa: E402
from tests.training.made_windows import loss_of_twenty_steps, settled, windows  # noqa: E402

TINY = PostureConfig(channels=16, depth=2, dropout=0.0, drop_path=0.0, joint_channels=8)


def made_encoder(config: PostureConfig = TINY) -> torch.nn.Module:
    """A random encoder whose batch norms and offsets do something."""
    torch.manual_seed(0)
    return settled(PostureEncoder(10, 15, config))


@pytest.mark.parametrize("num_seen", [6, 8])
def test_frames_in_which_nobody_is_seen_do_not_count(num_seen: int) -> None:
    """However many follow, and whether there are any: as if the window ended there."""
    encoder, x = made_encoder(), windows(2)
    x[:, :, num_seen:] = 0
    longer = torch.cat([x, torch.zeros(2, 10, 16, 15, 1)], dim=2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(longer), encoder(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x[:, :, :num_seen]), encoder(x), rtol=1e-4, atol=1e-5)


def test_the_last_seen_frame_does_count() -> None:
    encoder, x = made_encoder(), windows(2)
    shorter = x.clone()
    shorter[:, :, -2:] = 0
    with torch.no_grad():
        assert not torch.allclose(encoder(shorter), encoder(x), atol=1e-3)


def test_a_window_without_anybody_is_zero_and_not_nan() -> None:
    encoder, x = made_encoder().train(), windows(3)
    x[1] = 0
    y = encoder(x)
    assert (y[1] == 0).all()
    assert (y[0] != 0).any()
    y.sum().backward()
    assert all(value.grad.isfinite().all() for value in encoder.parameters())


def test_a_batch_of_one_is_a_batch_of_many() -> None:
    encoder, x = made_encoder(), windows(5)
    with torch.no_grad():
        one_by_one = torch.cat([encoder(x[n : n + 1]) for n in range(5)])
        torch.testing.assert_close(encoder(x), one_by_one, rtol=1e-4, atol=1e-5)


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


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(C2VLError, match="gets 25 joints but layout 'body15' has 15"):
        PostureEncoder(10, 25, TINY)


def test_the_config_is_told_from_the_temporal_one() -> None:
    for config in (TINY, TemporalConfig(channels=16, depth=2)):
        assert encoder_config(asdict(config)) == config
        assert type(encoder_config(asdict(config))) is type(config)
    assert isinstance(build_encoder(10, 15, TINY), PostureEncoder)


def test_twenty_steps_lower_the_loss() -> None:
    torch.manual_seed(2)
    encoder = PostureEncoder(10, 15, TINY)
    losses = loss_of_twenty_steps(encoder, encoder.num_features, BODY15.index("l_wrist"))
    assert losses[-1] < losses[0] / 2
