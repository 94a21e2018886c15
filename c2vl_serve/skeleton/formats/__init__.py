"""Skeletons in and out: NTU ``.skeleton``, ``.npy``, ``.npz``, JSON and CSV <-> SkeletonSequence.

The type of a file is found from its content, never from its name; nothing is ever unpickled,
and sizes are checked before memory is taken for them.
"""

from c2vl_serve.skeleton.formats.files import FileType, read_sequence, sniff, write_sequence
from c2vl_serve.skeleton.formats.json_object import sequence_from_dict, sequence_to_dict
from c2vl_serve.skeleton.formats.npy import sequence_from_npy
from c2vl_serve.skeleton.formats.options import FieldError, ReadOptions, SequenceLimits

__all__ = [
    "FieldError",
    "FileType",
    "ReadOptions",
    "SequenceLimits",
    "read_sequence",
    "sequence_from_dict",
    "sequence_from_npy",
    "sequence_to_dict",
    "sniff",
    "write_sequence",
]
