"""Rewrites for inference: the same answers as the trained network, by another route."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.rewrites import StridedGraphConvolution, for_inference  # noqa: E402
from c2vl_training.model.ensemble import Ensemble  # noqa: E402
from c2vl_training.model.graph import GraphConvolution  # noqa: E402
from tests.export.made_checkpoint import tiny_checkpoint  # noqa: E402


@settings(deadline=None, max_examples=20)
@given(
    channels=st.integers(1, 6),
    out=st.integers(1, 6),
    subsets=st.integers(1, 4),
    joints=st.integers(1, 9),
    frames=st.integers(1, 5),
)
def test_the_strided_convolution_is_the_graph_convolution(
    channels: int, out: int, subsets: int, joints: int, frames: int
) -> None:
    trained = GraphConvolution(channels, out, torch.randn(subsets, joints, joints)).eval()
    torch.nn.init.normal_(trained.offset)
    x = torch.randn(2, channels, frames, joints)
    with torch.no_grad():
        torch.testing.assert_close(
            StridedGraphConvolution(trained)(x), trained(x), atol=1e-4, rtol=1e-4
        )


def test_a_joint_gathers_from_its_neighbours() -> None:
    """Two joints that swap places, one channel, weight 3."""
    trained = GraphConvolution(1, 1, torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])).eval()
    trained.norm = torch.nn.Identity()
    torch.nn.init.constant_(trained.mix.weight, 3.0)
    with torch.no_grad():
        y = StridedGraphConvolution(trained)(torch.tensor([[[[1.0, 2.0]]]]))
    assert y.tolist() == [[[[6.0, 3.0]]]]


def test_the_trained_model_stays_as_it_is() -> None:
    model = tiny_checkpoint().model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rewritten = for_inference(model)
    assert not any(isinstance(part, GraphConvolution) for part in rewritten.modules())
    assert any(isinstance(part, GraphConvolution) for part in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_ensemble_of_one_is_its_member() -> None:
    checkpoint = tiny_checkpoint()
    single = Ensemble(checkpoint.model_configs[:1]).eval()
    x = torch.randn(3, 10, checkpoint.preprocessing.num_frames, 15, 1)
    rewritten = for_inference(single)
    assert type(rewritten) is type(single.members[0])
    with torch.no_grad():
        for ours, theirs in zip(rewritten(x), single(x), strict=True):
            torch.testing.assert_close(ours, theirs)
