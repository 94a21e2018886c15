"""A pretrained encoder in one safetensors file, with the whole run that made it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl_serve.errors import BundleError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.described_file import FileKind
from c2vl_training.model.encoders import Encoder, EncoderConfig, build_encoder, encoder_config
from c2vl_training.model.projector import ConceptHeads, Projector
from c2vl_training.pretrain import Pretrained
from c2vl_training.pretrain_config import PretrainConfig

PRETRAINED = FileKind(
    noun="pretrained encoder",
    format="c2vl-pretrained-2",
    next_step="write it with `c2vl-train pretrain`",
    error=BundleError,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PretrainedFile:
    """What was read back.

    Attributes:
        encoder: in evaluation mode.
        encoder_config: its sizes.
        projector: to the shared space, in evaluation mode; None for a distilled encoder.
        heads: from embeddings to the shared space; None without knowledge.
        preprocessing: what the encoder's input must go through.
        run: the configuration, and what else was noted of the run.
    """

    encoder: Encoder
    encoder_config: EncoderConfig
    projector: Projector | None
    heads: ConceptHeads | None
    preprocessing: PreprocessingConfig
    run: dict[str, Any]


def write_pretrained(
    path: Path, pretrained: Pretrained, config: PretrainConfig, noted: dict[str, Any]
) -> None:
    """Write beside and rename.

    Args:
        path: where.
        pretrained: what a run left.
        config: of that run.
        noted: what it learned from: set, knowledge, number of clips.
    """
    widths = {} if pretrained.heads is None else pretrained.heads.widths
    described = {"config": config.to_dict(), "widths": widths, "noted": noted}
    weights = {
        f"{part}.{name}": value
        for part in ("encoder", "projector", "heads")
        if getattr(pretrained, part) is not None
        for name, value in getattr(pretrained, part).state_dict().items()
    }
    PRETRAINED.write(path, weights, described)


def read_pretrained(path: Path) -> PretrainedFile:
    """Read a pretrained encoder and rebuild it.

    Raises:
        BundleError: when the file is missing, of another format, or does not fit its own config.
    """
    weights, described = PRETRAINED.read(path)
    config = described["config"]
    preprocessing = PreprocessingConfig.from_dict(config["preprocessing"])
    sizes = encoder_config(config["encoder"])
    encoder = build_encoder(preprocessing.num_channels, preprocessing.num_joints, sizes)
    widths = described["widths"]
    heads = ConceptHeads(widths, config["num_projected"]) if widths else None
    kept = {name.partition(".")[0] for name in weights}
    projector = Projector(encoder.num_features, config["num_projected"])
    try:
        for part, module in (("encoder", encoder), ("projector", projector), ("heads", heads)):
            if module is not None and part in kept:
                own = f"{part}."
                module.load_state_dict(
                    {k.removeprefix(own): v for k, v in weights.items() if k.startswith(own)}
                )
                module.eval()
    except RuntimeError as error:
        raise BundleError(
            f"pretrained encoder {path} does not fit its own config: {error}"
        ) from error
    return PretrainedFile(
        encoder=encoder,
        encoder_config=sizes,
        projector=projector if "projector" in kept else None,
        heads=heads,
        preprocessing=preprocessing,
        run=described,
    )
