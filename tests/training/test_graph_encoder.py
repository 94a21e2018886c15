"""The graph encoder is its formula, pads with persons that do not count, and is small."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_serve.skeleton.graph import adjacency  # noqa: E402
from c2vl_serve.skeleton.layout import BODY15, NTU25  # noqa: E402
from c2vl_training.model.graph import (  # noqa: E402
    COMPACT,
    GraphConfig,
    GraphConvolution,
    GraphEncoder,
)
from tests.training.made_windows import settled, windows  # noqa: E402

TINY = GraphConfig(channels=8, blocks_per_stage=1, dropout=0.0, drop_path=0.0)
TINY_HALF = GraphConfig(channels=8, blocks_per_stage=2, stem_stride=2)


def made_encoder(config: GraphConfig = TINY) -> torch.nn.Module:
    """A random encoder whose batch norms and offsets do something."""
    torch.manual_seed(0)
    return settled(GraphEncoder(10, 15, config))


def test_a_graph_convolution_is_the_sum_over_subsets() -> None:
    """sum_k W_k x (A_k + B_k), joint by joint."""
    torch.manual_seed(1)
    graph = torch.from_numpy(adjacency(BODY15))
    layer = GraphConvolution(4, 6, graph)
    layer.norm = torch.nn.Identity()
    with torch.no_grad():
        layer.offset.copy_(0.1 * torch.randn_like(layer.offset))
        x = torch.randn(2, 4, 3, 15)
        found = layer(x)
        expected = torch.zeros(2, 6, 3, 15)
        for k in range(3):
            weight = layer.mix.weight[:, 4 * k : 4 * (k + 1), 0, 0]
            for to in range(15):
                for source in range(15):
                    share = graph[k, to, source] + layer.offset[k, to, source]
                    gathered = share * x[:, :, :, source]
                    expected[..., to] += (weight @ gathered.flatten(2)).reshape(2, 6, 3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.integers(0, 99), st.sampled_from([TINY, TINY_HALF]))
def test_padding_persons_change_nothing(num_padding: int, seed: int, config: GraphConfig) -> None:
    encoder, x = made_encoder(config), windows(2, persons=2, seed=seed)
    padded = torch.cat([x, torch.zeros(2, 10, 16, 15, num_padding)], dim=4)
    with torch.no_grad():
        torch.testing.assert_close(encoder(padded), encoder(x), rtol=1e-4, atol=1e-5)


def test_padding_persons_change_nothing_in_training_either() -> None:
    """They would enter the batch statistics if they were computed."""
    encoder, x = made_encoder().train(), windows(3)
    padded = torch.cat([torch.zeros(3, 10, 16, 15, 1), x], dim=4)
    one = encoder(x).detach()
    torch.testing.assert_close(encoder(padded).detach(), one, rtol=1e-4, atol=1e-5)


def test_persons_are_averaged_and_their_order_does_not_matter() -> None:
    encoder, x = made_encoder(), windows(2, persons=3)
    with torch.no_grad():
        alone = torch.stack([encoder(x[..., m : m + 1]) for m in range(3)])
        together, turned = encoder(x), encoder(x.flip(4))
    torch.testing.assert_close(together, alone.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, turned, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


@pytest.mark.parametrize("config", [TINY, TINY_HALF])
@pytest.mark.parametrize("num_seen", [6, 7, 8])
def test_frames_in_which_nobody_is_seen_do_not_count(config: GraphConfig, num_seen: int) -> None:
    encoder, x = made_encoder(config), windows(2)
    x[:, :, num_seen:] = 0
    longer = torch.cat([x, torch.zeros(2, 10, 16, 15, 1)], dim=2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(longer), encoder(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x[:, :, :8]), encoder(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_window_without_anybody_is_zero_and_not_nan(training: bool) -> None:
    encoder = made_encoder().train(training)
    with torch.no_grad():
        assert (encoder(torch.zeros(2, 10, 16, 15, 2)) == 0).all()
    x = windows(3)
    x[1] = 0
    y = encoder(x)
    assert (y[1] == 0).all()
    assert (y[0] != 0).any()
    y.sum().backward()
    assert all(value.grad.isfinite().all() for value in encoder.parameters())


def test_a_batch_of_one_is_a_batch_of_many() -> None:
    encoder, x = made_encoder(), windows(5, persons=2)
    with torch.no_grad():
        one_by_one = torch.cat([encoder(x[n : n + 1]) for n in range(5)])
        torch.testing.assert_close(encoder(x), one_by_one, rtol=1e-4, atol=1e-5)


def test_sizes_of_teacher_and_student() -> None:
    """Counted by torch, two for a multiplication and an addition."""
    sizes = {}
    for name, config in (("teacher", GraphConfig()), ("student", COMPACT)):
        encoder = GraphEncoder(10, 15, config).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            y = encoder(windows(1, num_frames=64, persons=2))
        assert y.shape == (1, encoder.num_features)
        num_parameters = sum(value.numel() for value in encoder.parameters())
        sizes[name] = (num_parameters, counter.get_total_flops())
    assert 1e6 < sizes["teacher"][0] < 3e6
    assert sizes["student"][1] <= 0.5e9
    assert sizes["student"][1] <= sizes["teacher"][1] / 8


def test_other_layouts_and_odd_numbers_of_frames() -> None:
    encoder = GraphEncoder(4, 25, GraphConfig(layout="ntu25", channels=8, blocks_per_stage=1))
    x = torch.randn(2, 4, 17, NTU25.num_joints, 1)
    x[:, -1] = 1
    assert encoder(x).shape == (2, 64)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(C2VLError, match="channels=30; expected a positive multiple of 4"):
        GraphConfig(channels=30)


def test_the_config_survives_json() -> None:
    assert GraphConfig(**asdict(COMPACT)) == COMPACT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter warns about its own internals
def test_onnx_runtime_agrees_at_any_batch(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the cpu extra is not installed")
    encoder, path = made_encoder(replace(TINY, stem_stride=2)), tmp_path / "graph.onnx"
    program = torch.onnx.export(
        encoder,
        (windows(2),),
        dynamo=True,
        opset_version=18,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
        verbose=False,
    )
    program.save(str(path))
    assert "Einsum" not in {node.op_type for node in onnx.load(path).graph.node}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for num in (1, 2, 7):
        x = windows(num, seed=num)
        x[0, :, 9:] = 0
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, encoder(x).numpy(), rtol=1e-3, atol=1e-4)
