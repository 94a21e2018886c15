"""The cache: what is in it, that a kill costs nothing, and what it refuses."""

import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sampling import at_model_rate
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.cache import CacheConfig, open_cache
from c2vl_training.data.readers.cache_writer import clearest, write_cache
from c2vl_training.data.readers.growing import GrowingArray
from c2vl_training.data.readers.ntu import read_ntu
from c2vl_training.data.readers.recording import Entry, Recordings
from tests.conftest import waving
from tests.training.readers.made_files import moved, ntu_text, wave_of, waves

CONFIG = CacheConfig()
MODEL = PreprocessingConfig()
LENGTHS = (30, 60, 45, 90, 20, 75)

# Reads like made_files.waves, but the process dies (kill -9) at the third recording of a run.
DYING = """
import os, signal, sys
from pathlib import Path
from dataclasses import replace
from c2vl_training.data.readers.cache import CacheConfig
from c2vl_training.data.readers.cache_writer import write_cache
from tests.training.readers.made_files import wave_of, waves

num_read = 0

def read(sample_id):
    global num_read
    num_read += 1
    if num_read == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return wave_of(sample_id)

recordings = replace(waves(*map(int, sys.argv[2:])), read=read)
write_cache(recordings, Path(sys.argv[1]), CacheConfig())
"""


def two_persons(sample_id: str) -> SkeletonSequence:
    """The id is the number of persons; each is seen in fewer frames than the one before."""
    one = waving(num_frames=30)
    persons = int(sample_id)
    visibility = np.repeat(one.visibility, persons, axis=1)
    for person in range(persons):
        visibility[30 - 5 * person :, person] = 0
    joints = np.repeat(one.joints, persons, axis=1)
    return SkeletonSequence(joints=joints, visibility=visibility, fps=30.0, layout=one.layout)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_clips_are_what_serving_would_see(tmp_path: Path) -> None:
    cache = write_cache(waves(*LENGTHS), tmp_path / "cache", CONFIG)
    assert cache.lengths.tolist() == [15, 30, 23, 45, 10, 38]
    assert cache.starts.tolist() == [0, 15, 45, 68, 113, 123]
    assert cache.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert cache.class_names == ("long", "short")
    for clip, length in enumerate(LENGTHS):
        expected = at_model_rate(wave_of(str(length)), MODEL)
        ours = cache.sequence(clip)
        np.testing.assert_array_equal(ours.joints, expected.joints)
        np.testing.assert_array_equal(ours.visibility, expected.visibility)
        assert (ours.fps, ours.layout) == (expected.fps, expected.layout)


def test_frames_are_mapped_not_read(tmp_path: Path) -> None:
    cache = write_cache(waves(*LENGTHS), tmp_path / "cache", CONFIG)
    assert isinstance(cache.joints, np.memmap)
    assert isinstance(cache.seen, np.memmap)
    assert cache.joints.shape == (161, 2, 15, 3)
    packed = pickle.dumps(cache)
    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed).joints, cache.joints)


def test_the_index_is_readable(tmp_path: Path) -> None:
    write_cache(waves(30, 60), tmp_path / "cache", CONFIG)
    assert json.loads((tmp_path / "cache" / "index.json").read_text()) == {
        "format": "c2vl-cache-1",
        "config": {"layout": "body15", "fps": 15.0, "num_persons": 2},
        "source": "waves",
        "class_names": ["long", "short"],
        "clips": {
            "starts": [0, 15],
            "lengths": [15, 30],
            "sample_id": ["30", "60"],
            "class_name": ["short", "long"],
            "subject": [1, 1],
            **{tag: [None, None] for tag in ("view", "setup", "repetition")},
        },
        "skipped": {},
    }


def test_persons_beyond_the_number_are_those_seen_least(tmp_path: Path) -> None:
    recordings = Recordings(
        entries=tuple(Entry(sample_id=str(n), class_name="wave") for n in (1, 2, 3)),
        read=two_persons,
        source="crowd",
    )
    cache = write_cache(recordings, tmp_path / "cache", CONFIG)
    assert [cache.sequence(clip).num_persons for clip in range(3)] == [1, 2, 2]
    assert not cache.seen[:15, 1].any()
    single = write_cache(recordings, tmp_path / "one", replace(CONFIG, num_persons=1))
    assert single.joints.shape[1] == 1


def test_the_clearest_stay_in_order() -> None:
    sequence = two_persons("3").persons(2, 0, 1)
    assert clearest(sequence, 2) == [1, 2]
    assert clearest(sequence, 9) == [0, 1, 2]


def test_workers_make_the_same_bytes(tmp_path: Path) -> None:
    write_cache(waves(*range(20, 60)), tmp_path / "here", CONFIG)
    write_cache(waves(*range(20, 60)), tmp_path / "workers", CONFIG, num_workers=2)
    assert contents(tmp_path / "here") == contents(tmp_path / "workers")


def test_a_kill_costs_nothing(tmp_path: Path) -> None:
    write_cache(waves(*LENGTHS), tmp_path / "whole", CONFIG)
    command = [sys.executable, "-c", DYING, str(tmp_path / "cache"), *map(str, LENGTHS)]
    for done in (2, 4):
        ended = subprocess.run(command, cwd=Path(__file__).parents[3], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert not (tmp_path / "cache").exists()
        lines = (tmp_path / "cache.partial" / "done.jsonl").read_text().splitlines()
        assert len(lines) == done
    seen: list[tuple[int, int]] = []
    write_cache(
        waves(*LENGTHS),
        tmp_path / "cache",
        CONFIG,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(5, 6), (6, 6)]
    assert contents(tmp_path / "cache") == contents(tmp_path / "whole")
    assert not (tmp_path / "cache.partial").exists()


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_any_torn_end_is_mended(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever of the last writes is lost, the result is the same."""
    folder = tmp_path_factory.mktemp("torn")
    write_cache(waves(4, 8, 6), folder / "whole", CONFIG)

    def dies(sample_id: str) -> SkeletonSequence:
        if sample_id == "6":
            raise SequenceError("no more")
        return wave_of(sample_id)

    with pytest.raises(SequenceError, match="recording '6': no more"):
        write_cache(replace(waves(4, 8, 6), read=dies), folder / "cache", CONFIG)
    for name in ("joints.npy", "seen.npy", "done.jsonl"):
        path = folder / "cache.partial" / name
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content)), label=name)])
    write_cache(waves(4, 8, 6), folder / "cache", CONFIG)
    assert contents(folder / "cache") == contents(folder / "whole")


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    write_cache(waves(30), tmp_path / "cache", CONFIG)
    wanted = CacheConfig(layout="kinect20", fps=30.0)
    message = (
        r"cache .*cache was made with layout 'body15', fps 15.0, asked for is layout 'kinect20', "
        r"fps 30.0; choose another folder, or delete it"
    )
    with pytest.raises(SequenceError, match=message):
        open_cache(tmp_path / "cache", wanted)
    with pytest.raises(SequenceError, match=message):
        write_cache(waves(30), tmp_path / "cache", wanted)
    with pytest.raises(SequenceError, match="made with source 'waves', asked for is source 'sea'"):
        write_cache(waves(30, source="sea"), tmp_path / "cache", CONFIG)
    assert open_cache(tmp_path / "cache").config == CONFIG


def test_an_unfinished_cache_refuses_too(tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match=r"recording '60' has 2-D joints \(x, y\)"):
        write_cache(replace(waves(30, 60), read=flat_after_30), tmp_path / "cache", CONFIG)
    with pytest.raises(SequenceError, match=r"cache.partial was made with num_persons 2, asked"):
        write_cache(waves(30, 60), tmp_path / "cache", replace(CONFIG, num_persons=1))
    with pytest.raises(SequenceError, match="is of another list of recordings, as of '30'"):
        write_cache(waves(45, 60), tmp_path / "cache", CONFIG)
    assert len(write_cache(waves(30, 60), tmp_path / "cache", CONFIG)) == 2


def flat_after_30(sample_id: str) -> SkeletonSequence:
    whole = wave_of(sample_id)
    return whole if sample_id == "30" else replace(whole, joints=whole.joints[..., :2].copy())


def test_a_finished_cache_is_of_its_recordings_only(tmp_path: Path) -> None:
    write_cache(waves(30, 60), tmp_path / "cache", CONFIG)
    with pytest.raises(SequenceError, match="holds 2 clips of another list .* the 1 asked for"):
        write_cache(waves(30), tmp_path / "cache", CONFIG)


def test_what_cannot_be_used_stops_or_is_noted(tmp_path: Path) -> None:
    (tmp_path / "S001C001P001R001A001.skeleton").write_text(
        ntu_text(20, {"7": (0, moved(20, 0.2))})
    )
    (tmp_path / "S001C001P001R001A002.skeleton").write_text("3\n1\n7 0 0\n")
    recordings = read_ntu(tmp_path)
    with pytest.raises(SequenceError, match="recording 'S001C001P001R001A002': a body's line"):
        write_cache(recordings, tmp_path / "cache", CONFIG)
    cache = write_cache(recordings, tmp_path / "cache", CONFIG, skip_unreadable=True)
    assert [entry.sample_id for entry in cache.entries] == ["S001C001P001R001A001"]
    assert list(cache.skipped) == ["S001C001P001R001A002"]
    assert "a body's line in frame 0" in cache.skipped["S001C001P001R001A002"]
    assert cache.class_names[:2] == ("drink water", "eat meal")
    # It is there, so it is only opened.
    assert len(write_cache(recordings, tmp_path / "cache", CONFIG)) == 1


def test_somebody_must_be_seen(tmp_path: Path) -> None:
    def unseen(sample_id: str) -> SkeletonSequence:
        whole = wave_of(sample_id)
        return replace(whole, visibility=np.zeros_like(whole.visibility))

    with pytest.raises(SequenceError, match="recording '30' shows nobody"):
        write_cache(replace(waves(30), read=unseen), tmp_path / "cache", CONFIG)


def test_nothing_of_use_is_no_cache(tmp_path: Path) -> None:
    gone = replace(waves(30), read=flat_after_30)
    unusable = replace(gone, entries=(replace(gone.entries[0], sample_id="31"),))
    with pytest.raises(SequenceError, match="would be empty: 1 recordings, none of use"):
        write_cache(unusable, tmp_path / "cache", CONFIG, skip_unreadable=True)


def test_damage_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="cannot be read: .*No such file"):
        open_cache(tmp_path / "cache")
    write_cache(waves(30), tmp_path / "cache", CONFIG)
    np.save(tmp_path / "cache" / "seen.npy", np.zeros((3, 2, 15), np.float32))
    with pytest.raises(SequenceError, match=r"seen.npy holds float32 \(3, 2, 15\); its index need"):
        open_cache(tmp_path / "cache")
    (tmp_path / "cache" / "joints.npy").write_bytes(b"spoilt")
    with pytest.raises(SequenceError, match=r"joints.npy cannot be mapped"):
        open_cache(tmp_path / "cache")
    (tmp_path / "cache" / "index.json").write_text('{"format": "c2vl-cache-0"}')
    with pytest.raises(SequenceError, match="has format 'c2vl-cache-0'; expected 'c2vl-cache-1'"):
        open_cache(tmp_path / "cache")


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_growing_array_is_a_numpy_file(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    path = tmp_path_factory.mktemp("growing") / "a.npy"
    parts = [np.full((length, 2, 3), index, np.float32) for index, length in enumerate(lengths)]
    for part in parts:
        array = GrowingArray(path, (2, 3))  # opened anew each time, as after a kill
        array.cut(array.num_whole_frames)
        array.append(part)
        array.close()
    array = GrowingArray(path, (2, 3))
    assert array.num_whole_frames == sum(lengths)
    array.finish(sum(lengths))
    np.testing.assert_array_equal(np.load(path), np.concatenate(parts))
