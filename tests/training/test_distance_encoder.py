"""The distance encoder does not know where a body faces, nor what is not there."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_serve.skeleton.layout import BODY15  # noqa: E402
from c2vl_training.model.distances import DistanceConfig, DistanceEncoder  # noqa: E402
from tests.training.made_windows import settled, windows  # noqa: E402

TINY = DistanceConfig(channels=16, depth=2, dropout=0.0, drop_path=0.0)


def made_encoder(config: DistanceConfig = TINY) -> DistanceEncoder:
    torch.manual_seed(0)
    encoder = settled(DistanceEncoder(10, 15, config))
    assert isinstance(encoder, DistanceEncoder)
    return encoder


@settings(deadline=None)
@given(angle=st.floats(-3.2, 3.2))
def test_turned_about_the_vertical_it_is_the_same(angle: float) -> None:
    encoder, x = made_encoder(), windows(2)
    cos, sin = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    turned = x.clone()
    for stream in (0, 3, 6):
        turned[:, stream] = cos * x[:, stream] + sin * x[:, stream + 2]
        turned[:, stream + 2] = cos * x[:, stream + 2] - sin * x[:, stream]
    found, expected = encoder.measures(turned), encoder.measures(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_tilted_or_taller_it_is_not() -> None:
    encoder, x = made_encoder(), windows(1)
    for other in (x[:, [0, 2, 1, *range(3, 10)]], torch.cat([1.1 * x[:, :9], x[:, 9:]], dim=1)):
        assert not torch.allclose(encoder.measures(other), encoder.measures(x), atol=1e-2)


def test_distances_by_hand() -> None:
    """Two joints 5 m apart, then 6; one of them 4 m above the root."""
    x = torch.zeros(1, 10, 2, 15, 1)
    x[:, -1] = 1
    low, high = BODY15.root, BODY15.index("head")
    x[0, :3, 0, high, 0] = torch.tensor([3.0, 4.0, 0.0])
    x[0, :3, 1, high, 0] = torch.tensor([0.0, 6.0, 0.0])
    encoder = made_encoder()
    measures = encoder.measures(x)[0, :, :, 0]
    pair = int(((encoder.first == low) & (encoder.second == high)).nonzero()[0, 0])
    torch.testing.assert_close(measures[pair], torch.tensor([5.0, 6.0]))
    torch.testing.assert_close(measures[105 + high], torch.tensor([4.0, 6.0]))
    torch.testing.assert_close(measures[120 + pair], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(measures[120 + 105 + high], torch.tensor([0.0, 2.0]))


def test_what_a_hidden_joint_would_tell_is_zero() -> None:
    encoder, x = made_encoder(), windows(1)
    wrist = BODY15.index("l_wrist")
    hidden = x.clone()
    hidden[:, :, 4:, wrist] = 0
    with_it, without = encoder.measures(x)[0, :, :, 0], encoder.measures(hidden)[0, :, :, 0]
    other = (encoder.first != wrist) & (encoder.second != wrist)
    assert torch.equal(with_it[:105][other], without[:105][other])
    assert (without[:105][~other][:, 4:] == 0).all()
    assert (without[120:225][~other][:, 4:] == 0).all()
    assert torch.equal(with_it[:, :4], without[:, :4])


def test_sizes_of_the_default() -> None:
    encoder = DistanceEncoder(10, 15, DistanceConfig()).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        y = encoder(windows(1, num_frames=64))
    assert y.shape == (1, encoder.num_features)
    assert sum(value.numel() for value in encoder.parameters()) < 0.4e6
    assert counter.get_total_flops() < 0.03e9


def test_other_streams_are_refused() -> None:
    with pytest.raises(C2VLError, match="gets 4 channels; expected 10"):
        DistanceEncoder(4, 15, TINY)
