"""What one export is asked for: precision, runtime, and where real clips lie."""

from dataclasses import dataclass, field
from pathlib import Path

from c2vl_serve.errors import C2VLError

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
# Which runtime takes which precision. On CPUs, ONNX Runtime has float16 in name only: it casts.
TAKES: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
}
MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRtOptions:
    """How a plan is built.

    Attributes:
        min_batch: fewest windows of a call; fewer are filled up.
        opt_batch: what tactics are chosen for.
        max_batch: most windows of a call; more are split.
        workspace: bytes that tactics may use.
        cache: folder of finished plans and of timings.
    """

    min_batch: int = 1
    opt_batch: int = 8
    max_batch: int = 64
    workspace: int = 1024 * MIB
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "c2vl-serve" / "tensorrt")

    def __post_init__(self) -> None:
        """Refuse batches out of order."""
        if not 1 <= self.min_batch <= self.opt_batch <= self.max_batch:
            raise C2VLError(
                f"batches are {self.min_batch}, {self.opt_batch}, {self.max_batch}; expected "
                "1 <= --min-batch <= --opt-batch <= --max-batch"
            )
        if self.workspace <= 0:
            raise C2VLError(
                f"workspace is {self.workspace / MIB:.0f} MiB; expected more than 0: "
                "choose another --workspace"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """One bundle to be written.

    Attributes:
        precision: of the network's arithmetic.
        runtime: that the bundle is for.
        data: folder of the checkpoint's sets; None compares on made-up windows only.
        max_drop: points of accuracy that the bundle may lose on the test clips.
        dynamic_frames: whether the network takes windows of other lengths, too.
        replace: whether an older bundle in the same place may go.
        tensorrt: for plans.
    """

    precision: str = "fp32"
    runtime: str = "onnxruntime"
    data: Path | None = None
    max_drop: float = 0.5
    dynamic_frames: bool = False
    replace: bool = False
    tensorrt: TensorRtOptions = field(default_factory=TensorRtOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be had together."""
        if self.precision not in TAKES[self.runtime]:
            takers = [name for name, precisions in TAKES.items() if self.precision in precisions]
            raise C2VLError(
                f"{self.runtime} does not take {self.precision}; it takes "
                f"{', '.join(TAKES[self.runtime])}, and {self.precision} goes with "
                f"{' or '.join(takers)}"
            )
        if self.precision == "int8" and self.data is None:
            raise C2VLError(
                "int8 needs real clips to find its ranges and to measure what it costs; give the "
                "folder of the skeleton sets with --data"
            )
        if self.dynamic_frames and self.runtime != "onnxruntime":
            raise C2VLError(
                f"{self.runtime} is tuned to windows of one length; leave out --dynamic-frames, or "
                "export for ONNX Runtime"
            )
        if not 0 <= self.max_drop <= 100:
            raise C2VLError(
                f"max drop is {self.max_drop} points; expected 0 to 100: choose another --max-drop"
            )
