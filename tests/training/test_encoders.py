"""What holds for every kind of encoder: it does not see what is not there, and it learns."""

from dataclasses import asdict

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_serve.skeleton.layout import BODY15  # noqa: E402
from c2vl_training.model.distances import DistanceConfig  # noqa: E402
from c2vl_training.model.encoders import (  # noqa: E402
    Encoder,
    EncoderConfig,
    build_encoder,
    encoder_config,
)
from c2vl_training.model.graph import GraphConfig  # noqa: E402
from c2vl_training.model.posture import PostureConfig  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig  # noqa: E402
from tests.training.made_windows import loss_of_twenty_steps, settled, windows  # noqa: E402

TINY: dict[str, EncoderConfig] = {
    "temporal": TemporalConfig(channels=16, depth=2, dropout=0.0, drop_path=0.0),
    "posture": PostureConfig(channels=16, depth=2, dropout=0.0, drop_path=0.0, joint_channels=8),
    "distances": DistanceConfig(channels=16, depth=2, dropout=0.0, drop_path=0.0),
    "graph": GraphConfig(channels=8, blocks_per_stage=1, dropout=0.0, drop_path=0.0),
}
KNOW_THE_BODY = ("posture", "distances", "graph")  # which joint is which
every_kind = pytest.mark.parametrize("kind", TINY)


def made_encoder(kind: str) -> Encoder:
    """A random encoder whose batch norms and offsets do something."""
    torch.manual_seed(0)
    return settled(build_encoder(10, 15, TINY[kind]))


@pytest.mark.parametrize("kind", KNOW_THE_BODY)
@pytest.mark.parametrize("num_seen", [6, 8])
def test_frames_in_which_nobody_is_seen_do_not_count(kind: str, num_seen: int) -> None:
    """However many follow, and whether there are any: as if the window ended there.

    Not so for the temporal encoder: its blocks let what is behind the end shine through a little.
    It only ever gets windows of the length that it was trained with.
    """
    encoder, x = made_encoder(kind), windows(2)
    x[:, :, num_seen:] = 0
    longer = torch.cat([x, torch.zeros(2, 10, 16, 15, 1)], dim=2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(longer), encoder(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x[:, :, :8]), encoder(x), rtol=1e-4, atol=1e-5)


@every_kind
def test_the_last_seen_frame_does_count(kind: str) -> None:
    encoder, x = made_encoder(kind), windows(2)
    shorter = x.clone()
    shorter[:, :, -1] = 0
    with torch.no_grad():
        assert not torch.allclose(encoder(shorter), encoder(x), atol=1e-3)


@every_kind
def test_a_window_without_anybody_is_zero_and_not_nan(kind: str) -> None:
    encoder, x = made_encoder(kind).train(), windows(3)
    x[1] = 0
    y = encoder(x)
    assert (y[1] == 0).all()
    assert (y[0] != 0).any()
    y.sum().backward()
    assert all(value.grad.isfinite().all() for value in encoder.parameters())


@every_kind
def test_a_batch_of_one_is_a_batch_of_many(kind: str) -> None:
    encoder, x = made_encoder(kind), windows(5)
    with torch.no_grad():
        one_by_one = torch.cat([encoder(x[n : n + 1]) for n in range(5)])
        torch.testing.assert_close(encoder(x), one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KNOW_THE_BODY)
def test_another_number_of_joints_is_refused(kind: str) -> None:
    with pytest.raises(C2VLError, match="gets 25 joints but layout 'body15' has 15"):
        build_encoder(10, 25, TINY[kind])


@every_kind
def test_the_config_is_told_from_others(kind: str) -> None:
    again = encoder_config(asdict(TINY[kind]))
    assert again == TINY[kind]
    assert type(again) is type(TINY[kind])


@every_kind
def test_twenty_steps_lower_the_loss(kind: str) -> None:
    """Tell arms that rise from arms that fall."""
    torch.manual_seed(2)
    encoder = build_encoder(10, 15, TINY[kind])
    losses = loss_of_twenty_steps(encoder, encoder.num_features, BODY15.index("l_wrist"))
    assert losses[-1] < losses[0] / 2
