"""Training tests run on one thread: they are small, and may share the machine."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    torch.set_num_threads(1)
