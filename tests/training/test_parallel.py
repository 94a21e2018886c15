"""Two processes on one machine come to the result of one process with the whole batch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.data.pool import load_pool  # noqa: E402
from c2vl_training.parallel import Processes, joined  # noqa: E402
from c2vl_training.pretrain import pretrain  # noqa: E402
from tests.training.made_sets import CONFIG, UTD_LABELS, write_made_utd  # noqa: E402
from tests.training.test_pretrain import TINY, made_knowledge  # noqa: E402

# Adam makes a full step of a gradient that is nothing but rounding, so that weights without
# influence may differ: a low learning rate keeps them together, and answers are compared.
SHORT = replace(TINY, num_steps=10, precision="float32", learning_rate=1e-3)


def test_two_processes_are_one(tmp_path: Path) -> None:
    write_made_utd(tmp_path)
    pool = load_pool(tmp_path, UTD_LABELS, CONFIG, hold_still=False)
    alone = pretrain(SHORT, pool, made_knowledge(pool))
    out = tmp_path / "together.pt"
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone",
         __file__, str(tmp_path), str(out)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr
    together = torch.load(out, weights_only=True)
    np.testing.assert_allclose(together["loss"], alone.measures["loss"], rtol=1e-3)
    shape = (6, CONFIG.num_channels, CONFIG.num_frames, CONFIG.num_joints, 1)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x[:, -1] = 1
    ours = alone.encoder(x).detach()
    alone.encoder.load_state_dict(together["weights"])
    torch.testing.assert_close(alone.encoder(x).detach(), ours, atol=0.02, rtol=0.02)


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(C2VLError, match="a batch of 5 cannot be shared by 2 processes"):
        Processes(rank=0, count=2).share(torch.zeros(5, 1))


def test_without_a_launcher_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with joined() as processes:
        assert processes == Processes()
        assert processes.leads


def _train_together(data: Path, out: Path) -> None:
    torch.set_num_threads(1)
    pool = load_pool(data, UTD_LABELS, CONFIG, hold_still=False)
    with joined() as processes:
        assert processes.count == 2
        made = pretrain(SHORT, pool, made_knowledge(pool), processes=processes)
        if processes.leads:
            result = {"weights": made.encoder.state_dict(), "loss": made.measures["loss"]}
            torch.save(result, out)


if __name__ == "__main__":
    _train_together(Path(sys.argv[1]), Path(sys.argv[2]))
