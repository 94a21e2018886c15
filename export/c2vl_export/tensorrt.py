"""A plan for this machine's GPU from an ONNX network, with finished plans and timings kept."""

import hashlib
import os
import tempfile
from dataclasses import astuple
from pathlib import Path

import onnx

from c2vl_export.operators import check_tensorrt
from c2vl_export.options import TensorRtOptions
from c2vl_serve.errors import BundleError
from c2vl_serve.recognition import tensorrt_api
from c2vl_serve.recognition.tensorrt_api import Profile, Target


def build_plan(model: onnx.ModelProto, options: TensorRtOptions) -> bytes:
    """Build a plan, or take the one that was built from the same network for the same machine.

    Raises:
        RuntimeUnavailable: when GPU, driver or library is missing, or the build fails.
        BundleError: when the network uses what TensorRT does not know, or the cache cannot be
            written.
    """
    tensorrt_api.require()
    check_tensorrt(model)
    source, target = model.SerializeToString(deterministic=True), tensorrt_api.target()
    finished = options.cache / f"{plan_key(source, options, target)}.plan"
    if finished.is_file():
        return finished.read_bytes()
    timings = options.cache / f"timings-{_hash(repr(astuple(target)).encode())}.cache"
    plan, timing = tensorrt_api.build(
        source,
        _profile(model, options),
        workspace=options.workspace,
        timing=timings.read_bytes() if timings.is_file() else b"",
    )
    _keep(timings, timing)
    _keep(finished, plan)
    return plan


def plan_key(source: bytes, options: TensorRtOptions, target: Target) -> str:
    """Names a plan: another network, profile, workspace, GPU, driver or TensorRT has another."""
    shape = (options.min_batch, options.opt_batch, options.max_batch, options.workspace)
    return _hash(source + repr((shape, astuple(target))).encode())


def _profile(model: onnx.ModelProto, options: TensorRtOptions) -> Profile:
    window = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    return Profile(
        smallest=(options.min_batch, *window),
        usual=(options.opt_batch, *window),
        largest=(options.max_batch, *window),
    )


def _keep(path: Path, content: bytes) -> None:
    """Write beside and rename: two exports at once may share a cache."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    except OSError as error:
        raise BundleError(
            f"TensorRT's cache {path.parent} cannot be written: {error.strerror}; "
            "choose another with --engine-cache"
        ) from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
