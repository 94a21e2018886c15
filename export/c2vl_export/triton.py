"""A model repository for Triton and KServe: the network behind a configuration it understands.

    DIR/NAME/config.pbtxt            inputs, outputs, dynamic batching, warm-up
    DIR/NAME/1/model.onnx            or model.plan
    DIR/NAME/labels.txt              labels in logit order
    DIR/NAME/card/                   the bundle's card, golden sample and parity report

What Triton serves is the network alone: skeletons must be preprocessed as the card says, and its
calibration turns logits into scores.
"""

import shutil
from pathlib import Path

import onnx

from c2vl_export.staging import check_place, staged
from c2vl_serve.bundle import CARD, GOLDEN, MODEL, PARITY, PLAN, ModelBundle

CONFIG, LABELS, VERSION = "config.pbtxt", "labels.txt", "1"
MAX_BATCH = 64  # windows that Triton may put together
QUEUE_MICROSECONDS = 2000  # how long a request may wait for company
PREFERRED_BATCHES = (8, 16, 32)


def check_repository(folder: Path, name: str, *, replace: bool) -> None:
    """Refuse a repository whose place for this model is taken, before any work is done.

    Raises:
        BundleError: when something is there that must not or may not be replaced.
    """
    check_place(folder / name, mark=CONFIG, replace=replace)


def write_repository(
    bundle: ModelBundle, folder: Path, *, max_batch: int = MAX_BATCH, replace: bool
) -> Path:
    """Write ``folder/NAME`` for a bundle; other models in ``folder`` are left alone.

    Args:
        bundle: what will be served, by ONNX Runtime's or TensorRT's backend.
        folder: the model repository.
        max_batch: windows of one call at most; a plan's own limit for TensorRT.
        replace: whether an older model of this name may go.

    Returns:
        The model's folder.

    Raises:
        BundleError: when it exists or cannot be written.
    """
    model = folder / bundle.card.name
    with staged(model, mark=CONFIG, replace=replace) as beside:
        (beside / VERSION).mkdir()
        (beside / "card").mkdir()
        name = PLAN if bundle.card.runtime == "tensorrt" else MODEL
        shutil.copyfile(bundle.path / name, beside / VERSION / name)
        for side in (CARD, GOLDEN, PARITY):
            if (bundle.path / side).is_file():
                shutil.copyfile(bundle.path / side, beside / "card" / side)
        (beside / LABELS).write_text("\n".join(bundle.card.labels) + "\n", encoding="utf-8")
        (beside / CONFIG).write_text(config_text(bundle, max_batch), encoding="utf-8")
    return model


def config_text(bundle: ModelBundle, max_batch: int) -> str:
    """``config.pbtxt``: a message ``inference.ModelConfig`` of Triton's protocol, as text."""
    graph = onnx.load(bundle.model_path).graph
    is_plan = bundle.card.runtime == "tensorrt"
    config = bundle.card.preprocessing
    # A network that takes other lengths is served with the bundle's own.
    input_name = graph.input[0].name
    window = [config.num_channels, config.num_frames, config.num_joints, 1]
    outputs = ",\n".join(_output(*_entry(entry)) for entry in graph.output)
    preferred = [size for size in PREFERRED_BATCHES if size <= max_batch] or [max_batch]
    return f"""\
# {bundle.card.identity}, {bundle.card.precision}; written by c2vl-export.
name: "{bundle.card.name}"
platform: "{"tensorrt_plan" if is_plan else "onnxruntime_onnx"}"
max_batch_size: {max_batch}
input [
  {{ name: "{input_name}" data_type: TYPE_FP32 dims: {_listed(window)} }}
]
output [
{outputs}
]
version_policy {{ latest {{ num_versions: 1 }} }}
dynamic_batching {{
  preferred_batch_size: {_listed(preferred)}
  max_queue_delay_microseconds: {QUEUE_MICROSECONDS}
}}
instance_group [ {{ count: 1 kind: {"KIND_GPU" if is_plan else "KIND_AUTO"} }} ]
model_warmup [
{_warm_up(1, input_name, window)},
{_warm_up(max(preferred), input_name, window)}
]
{_parameters(is_plan)}"""


def _entry(value: onnx.ValueInfoProto) -> tuple[str, list[int]]:
    """Name and shape without the batch."""
    return value.name, [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]


def _output(name: str, shape: list[int]) -> str:
    labels = f' label_filename: "{LABELS}"' if name == "logits" else ""
    return f'  {{ name: "{name}" data_type: TYPE_FP32 dims: {_listed(shape)}{labels} }}'


def _warm_up(batch: int, name: str, shape: list[int]) -> str:
    """So that the first real request does not wait for memory and tactics."""
    value = f"{{ data_type: TYPE_FP32 dims: {_listed(shape)} zero_data: true }}"
    return (
        f'  {{ name: "batch of {batch}" batch_size: {batch} '
        f'inputs {{ key: "{name}" value: {value} }} }}'
    )


def _parameters(is_plan: bool) -> str:
    """One thread a call, as ONNX Runtime is fastest with parallel requests."""
    if is_plan:
        return ""
    return 'parameters { key: "intra_op_thread_count" value: { string_value: "1" } }\n'


def _listed(numbers: list[int]) -> str:
    return f"[ {', '.join(map(str, numbers))} ]"
