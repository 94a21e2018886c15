"""How fast a runtime is here: ``c2vl-serve bench``.

Times are of whole calls with the golden sample's window, so they hold the runtime's own overhead.
The machine's matrix-product peak is measured in the same run, because machines are shared and
throttle; runtimes that are compared take turns for the same reason, a few calls each, so that
none is slowed by what another left in the caches.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import RuntimeUnavailable, SequenceError
from c2vl_serve.recognition.runtime import Runtime
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.preprocessing import preprocess

PEAK_SIZE = 1024  # rows and columns of the product: large enough to hide everything else
PEAK_SECONDS = 1.0
WARM_UP = 5  # calls
TURN = 10  # calls, before the next runtime has its turn
MIN_CALLS = 20
# numpy's product reads these once, when it is imported: hence a process of its own.
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MEASURE_PEAK = f"""
import time, numpy as np
a = np.random.default_rng(0).random(({PEAK_SIZE}, {PEAK_SIZE}), np.float32)
b, end, best = a.copy(), time.perf_counter() + {PEAK_SECONDS}, float("inf")
while time.perf_counter() < end:
    start = time.perf_counter()
    a @ b
    best = min(best, time.perf_counter() - start)
print(2 * {PEAK_SIZE}**3 / best / 1e9)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One runtime with one size of batch.

    Attributes:
        bundle: name and version.
        runtime: as it calls itself.
        precision: of its arithmetic.
        batch: windows of one call.
        calls: how many were timed.
        median_ms: of one call.
        p99_ms: 99 of 100 calls were as fast.
        windows_per_second: at the median.
        gflop_per_second: at the median; operations are the fp32 network's.
        share_of_peak: of the fp32 matrix product on as many threads; None on a GPU.
    """

    bundle: str
    runtime: str
    precision: str
    batch: int
    calls: int
    median_ms: float
    p99_ms: float
    windows_per_second: float
    gflop_per_second: float
    share_of_peak: float | None


def matrix_peak(num_threads: int = 1) -> float:
    """Best GFLOP/s of a large fp32 matrix product on this machine now.

    Raises:
        RuntimeUnavailable: when the measuring process fails.
    """
    threads = dict.fromkeys(THREAD_SETTINGS, str(num_threads))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE_PEAK],
            env={**os.environ, **threads},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeUnavailable(f"the matrix product could not be measured: {error}") from error
    return float(done.stdout)


def golden_windows(bundle: ModelBundle, batch: int) -> ModelInput:
    """The golden sample's window, ``batch`` times.

    Raises:
        SequenceError: when ``batch`` is not positive.
    """
    if batch < 1:
        raise SequenceError(f"a batch has {batch} windows; expected at least 1")
    window = preprocess(bundle.golden.sequence, bundle.card.preprocessing)
    return np.repeat(window[:1], batch, axis=0)


def call_times(runtimes: list[tuple[Runtime, ModelInput]], seconds: float) -> list[list[float]]:
    """Seconds of each call of each runtime on its own input; the runtimes take turns.

    Args:
        runtimes: each with what it is given.
        seconds: for each of them; never fewer than :data:`MIN_CALLS` calls.
    """
    for runtime, x in runtimes:
        for _ in range(WARM_UP):
            runtime.run(x)
    times: list[list[float]] = [[] for _ in runtimes]
    end = time.perf_counter() + seconds * len(runtimes)
    while time.perf_counter() < end or len(times[0]) < MIN_CALLS:
        for (runtime, x), own in zip(runtimes, times, strict=True):
            runtime.run(x)  # brings its weights back into the caches
            for _ in range(TURN):
                started = time.perf_counter()
                runtime.run(x)
                own.append(time.perf_counter() - started)
    return times


def bench(
    entries: list[tuple[ModelBundle, Runtime]], *, batch: int, seconds: float, peak: float
) -> list[Speed]:
    """Time one or several bundles on their runtimes, side by side.

    Args:
        entries: bundles and what runs them.
        batch: windows of one call.
        seconds: of timing for each.
        peak: GFLOP/s of :func:`matrix_peak`.
    """
    inputs = [(runtime, golden_windows(bundle, batch)) for bundle, runtime in entries]
    times = call_times(inputs, seconds)
    return [
        _speed(bundle, runtime, batch, np.array(own), peak)
        for (bundle, runtime), own in zip(entries, times, strict=True)
    ]


def _speed(
    bundle: ModelBundle, runtime: Runtime, batch: int, times: np.ndarray, peak: float
) -> Speed:
    median = float(np.median(times))
    gflop_per_second = batch * bundle.card.gflop / median
    return Speed(
        bundle=bundle.card.identity,
        runtime=runtime.name,
        precision=bundle.card.precision,
        batch=batch,
        calls=len(times),
        median_ms=1e3 * median,
        p99_ms=1e3 * float(np.quantile(times, 0.99)),
        windows_per_second=batch / median,
        gflop_per_second=gflop_per_second,
        share_of_peak=gflop_per_second / peak if "/CPU" in runtime.name else None,
    )
