"""Write a bundle: network, golden sample, card and parity report, compared before it is kept.

checkpoint -> fp32 ONNX -> the asked-for precision -> the asked-for runtime
                  |               |                        |
                torch  = parity = fp32       = parity =  the bundle itself
"""

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from c2vl_export.clips import RealClips, read_clips
from c2vl_export.golden import golden_sequence
from c2vl_export.half import to_half
from c2vl_export.onnx import write_onnx
from c2vl_export.options import ExportOptions
from c2vl_export.packing import packed
from c2vl_export.parity import Answers, TorchRuntime, answers, compare, machine
from c2vl_export.quantize import quantise
from c2vl_export.staging import check_place, staged
from c2vl_export.tensorrt import build_plan
from c2vl_serve.bundle import (
    CARD,
    GOLDEN,
    MODEL,
    PARITY,
    PLAN,
    SPACE,
    TEXTS,
    BundleCard,
    Calibration,
    Golden,
    ModelBundle,
    load_bundle,
    sha256,
    write_golden,
)
from c2vl_serve.errors import BundleError
from c2vl_serve.gallery_space import PLAIN, write_gallery_space
from c2vl_serve.recognition import tensorrt_api
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.parity import Comparison, ParityReport, SetParity, write_parity
from c2vl_serve.recognition.runtime import verify
from c2vl_serve.recognition.runtimes import load_runtime
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess
from c2vl_serve.texts import TextVocabulary, write_texts
from c2vl_training.checkpoint import Checkpoint

TOLERANCE = 1e-3  # logits in fp32; ONNX Runtime on CPU stays below 1e-4
# Other precisions may miss twice what they miss here on the golden sample, and never more than:
MOST_TOLERANCE = {"fp16": 0.1, "bf16": 0.5, "int8": 1.0}  # logits
MADE_UP_WINDOWS = 32


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Network:
    """The network in its final precision, and what int8 left in float."""

    model: onnx.ModelProto
    float_layers: tuple[str, ...] = ()


def write_bundle(
    checkpoint: Checkpoint, folder: Path, options: ExportOptions | None = None
) -> ParityReport:
    """Write the checkpoint's bundle and compare it with torch before it is kept.

    Args:
        checkpoint: what to export.
        folder: where the bundle goes; written beside and renamed.
        options: precision, runtime and real clips; fp32 for ONNX Runtime unless given.

    Returns:
        Who was compared with whom, as the bundle's ``parity.json`` has it.

    Raises:
        BundleError: when the network does not give torch's answers, or loses too much accuracy,
            or the folder cannot be written; nothing is kept.
        RuntimeUnavailable: when the runtime that the bundle is for is missing here.
    """
    options = options or ExportOptions()
    check_place(folder, mark=CARD, replace=options.replace)
    if options.runtime == "tensorrt":
        tensorrt_api.require()
    clips = None if options.data is None else read_clips(checkpoint, options.data)
    with (
        tempfile.TemporaryDirectory(prefix="c2vl-export-") as work,
        staged(folder, mark=CARD, replace=options.replace) as beside,
    ):
        source = _float_bundle(checkpoint, Path(work), options)
        network = _network(source, clips, options)
        _write_files(source, network, options, beside)
        report = _compared(checkpoint, source, load_bundle(beside), network, clips, options)
        _finish(beside, report)
    return report


def _float_bundle(checkpoint: Checkpoint, folder: Path, options: ExportOptions) -> ModelBundle:
    """The network in fp32 for ONNX Runtime, with torch's golden logits; what all is made from."""
    sequence = golden_sequence(checkpoint.preprocessing)
    window = preprocess(sequence, checkpoint.preprocessing)
    write_onnx(checkpoint, window, folder / MODEL, dynamic_frames=options.dynamic_frames)
    logits, _, *concept = TorchRuntime(checkpoint.network).run(window)
    golden = Golden(sequence=sequence, logits=logits, concept=concept[0] if concept else None)
    write_golden(folder / GOLDEN, golden)
    source = ModelBundle(
        card=_card(checkpoint, window),
        golden=golden,
        path=folder,
        texts=_texts(checkpoint),
        gallery_space=checkpoint.gallery_space or PLAIN,
    )
    verify(OnnxRuntime(source), source)
    return source


def _network(source: ModelBundle, clips: RealClips | None, options: ExportOptions) -> _Network:
    """The fp32 network in the precision that was asked for; bfloat16 is the runtime's own doing."""
    model = onnx.load(source.model_path)
    if options.precision == "fp16":
        return _Network(model=to_half(model))
    if options.precision == "int8" and clips is not None:
        done = quantise(model, clips.calibration, symmetric=options.runtime == "tensorrt")
        return _Network(model=done.model, float_layers=done.float_layers)
    return _Network(model=packed(model) if _is_plain(options) else model)


def _is_plain(options: ExportOptions) -> bool:
    """fp32 for ONNX Runtime, which computes constants as it loads; others read them as they are."""
    return (options.runtime, options.precision) == ("onnxruntime", "fp32")


def _write_files(
    source: ModelBundle, network: _Network, options: ExportOptions, folder: Path
) -> None:
    onnx.checker.check_model(network.model, full_check=True)
    onnx.save(network.model, str(folder / MODEL))
    write_golden(folder / GOLDEN, source.golden)
    if source.texts is not None:
        write_texts(folder / TEXTS, source.texts)
    if source.gallery_space is not PLAIN:
        write_gallery_space(folder / SPACE, source.gallery_space)
    if options.runtime == "tensorrt":
        (folder / PLAN).write_bytes(build_plan(network.model, options.tensorrt))
    _write_card(
        folder,
        replace(
            source.card,
            precision=options.precision,
            runtime=options.runtime,
            tolerance=MOST_TOLERANCE.get(options.precision, TOLERANCE),
        ),
    )


def _compared(
    checkpoint: Checkpoint,
    source: ModelBundle,
    bundle: ModelBundle,
    network: _Network,
    clips: RealClips | None,
    options: ExportOptions,
) -> ParityReport:
    """Compare torch with fp32, and fp32 with the bundle where that is something else."""
    inputs = made_up_windows(checkpoint.preprocessing) if clips is None else clips.inputs
    torch.set_num_threads(1)  # as the others
    trained = answers("torch fp32", TorchRuntime(checkpoint.network), inputs)
    exported = _answers(bundle if _is_plain(options) else source, inputs)
    comparisons = [compare(trained, exported, inputs, clips)]
    if not _is_plain(options):
        comparisons.append(compare(exported, _answers(bundle, inputs), inputs, clips))
    refuse_drop(comparisons[-1], options)
    return ParityReport(
        source=_described(clips),
        machine=machine(),
        float_layers=network.float_layers,
        comparisons=tuple(comparisons),
    )


def _answers(bundle: ModelBundle, inputs: ModelInput) -> Answers:
    runtime = load_runtime(bundle)
    verify(runtime, bundle)
    return answers(f"{bundle.card.runtime} {bundle.card.precision}", runtime, inputs)


def refuse_drop(comparison: Comparison, options: ExportOptions) -> None:
    """Refuse a runtime that loses accuracy, over all test clips or on one set.

    On a small set a single clip weighs more than the limit: one is forgiven.

    Raises:
        BundleError: saying how much, and where.
    """
    worst = {
        name: entry.drop
        for name, entry in comparison.sets.items()
        if entry.drop > max(options.max_drop, 1.5 * 100 / entry.clips)
    }
    drop = comparison.drop or 0.0
    if drop <= options.max_drop and not worst:
        return
    sets = ", ".join(f"{name} {value:.2f}" for name, value in worst.items()) or "no set alone"
    raise BundleError(
        f"{comparison.candidate} loses {drop:.2f} points of accuracy over {comparison.clips} test "
        f"clips (too much on: {sets}); at most {options.max_drop} may be lost: export without "
        f"--{options.precision}, or allow more with --max-drop"
    )


def _measured_again(entry: dict[str, Any], parity: SetParity) -> dict[str, Any]:
    """A set's accuracy with the exported network's; what was not measured anew is left out."""
    return {
        "protocol": entry["protocol"],
        "clips": entry["clips"],
        "top1": parity.candidate_top1,
    }


def _finish(folder: Path, report: ParityReport) -> None:
    """Write the report, and what it found into the card."""
    bundle = load_bundle(folder)
    write_parity(folder / PARITY, report)
    last = report.comparisons[-1]
    accuracy = {
        name: _measured_again(entry, last.sets[name]) if name in last.sets else entry
        for name, entry in bundle.card.accuracy.items()
    }
    difference = verify(load_runtime(bundle), bundle)
    _write_card(
        folder,
        replace(
            bundle.card,
            accuracy=bundle.card.accuracy if bundle.card.precision == "fp32" else accuracy,
            tolerance=_tolerance(bundle.card.precision, difference),
        ),
    )


def _tolerance(precision: str, difference: float) -> float:
    if precision not in MOST_TOLERANCE:
        return TOLERANCE
    return round(float(np.clip(2 * difference, TOLERANCE, MOST_TOLERANCE[precision])), 4)


def _write_card(folder: Path, card: BundleCard) -> None:
    names = (MODEL, GOLDEN, PLAN, PARITY, TEXTS, SPACE)
    files = [name for name in names if (folder / name).is_file()]
    card = replace(card, hashes={name: sha256(folder / name) for name in files})
    text = json.dumps(card.to_dict(), indent=1, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def made_up_windows(config: PreprocessingConfig) -> ModelInput:
    """Windows of the golden sequence from later and later on: no clip is needed for them."""
    sequence = golden_sequence(config)
    starts = np.linspace(0, sequence.num_frames // 2, MADE_UP_WINDOWS).astype(int)
    parts = [sequence.frames(int(start), sequence.num_frames) for start in starts]
    return np.concatenate([preprocess(part, config) for part in parts])


def _described(clips: RealClips | None) -> str:
    if clips is None:
        return "made-up windows; give --data to compare on whole test splits"
    return f"test splits of {', '.join(clips.pool.set_names)}"


def _card(checkpoint: Checkpoint, window: ModelInput) -> BundleCard:
    values: dict[str, Any] = checkpoint.card
    return BundleCard(
        **{
            **values,
            "calibration": Calibration(**values["calibration"]),
            "licences": tuple(values["licences"]),
        },
        labels=checkpoint.labels,
        preprocessing=checkpoint.preprocessing,
        text_encoder=None if checkpoint.language is None else checkpoint.language.encoder,
        num_parameters=sum(p.numel() for p in checkpoint.network.parameters()),
        gflop=round(_gflop(checkpoint, window), 4),
        tolerance=TOLERANCE,
        hashes={},
    )


def _texts(checkpoint: Checkpoint) -> TextVocabulary | None:
    if checkpoint.language is None:
        return None
    return TextVocabulary(
        texts=checkpoint.language.texts,
        embeddings=checkpoint.language.embeddings,
        temperature=checkpoint.language.temperature,
    )


def _gflop(checkpoint: Checkpoint, window: ModelInput) -> float:
    """Floating point operations of one window, counted by torch while it runs."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        checkpoint.network(torch.from_numpy(window))
    return counter.get_total_flops() / 1e9
