"""Give a TFLite model the normalisation note that MediaPipe Tasks insists on; used by `pose_model`.

MediaPipe reads from a metadata record inside the model how pixels become the network's input. The
landmark network as shipped in old wheels has none. FlatBuffers references only point forward, so a
file cannot be extended at its end: a new root is put *before* the old bytes, which stay as they
are and keep their own references.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MODEL_IDENTIFIER = b"TFL3"
_METADATA_IDENTIFIER = b"M001"
_METADATA_NAME = "TFLITE_METADATA"
_TENSOR_ALIGNMENT = 64  # bytes; TFLite wants 16 for tensor data, 64 keeps any wider one too

# Slots of the tables, by their order in schema.fbs (Model, Buffer, Metadata) ...
_MODEL_VERSION, _MODEL_BUFFERS, _MODEL_METADATA = 0, 4, 6
_NUM_MODEL_SLOTS = 8
_BUFFER_DATA = 0
_METADATA_KEY, _METADATA_BUFFER = 0, 1
# ... and in metadata_schema.fbs.
_ROOT_SUBGRAPHS = 3
_SUBGRAPH_INPUTS = 2
_TENSOR_NAME, _TENSOR_CONTENT, _TENSOR_PROCESS_UNITS = 0, 3, 4
_UNION_TYPE, _UNION_VALUE = 0, 1
_IMAGE_PROPERTIES, _IMAGE_COLOUR_SPACE, _RGB = 2, 0, 1
_NORMALISATION_OPTIONS, _MEAN, _STD = 1, 0, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """Something in the old file, by its position there; it is referred to, never moved."""

    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Floats:
    values: tuple[float, ...]


# A table by its slots; a value is a number, text, bytes, _Kept, _Floats, a table or a list.
_Table = Mapping[int, object]


class _Reader:
    """The few FlatBuffers reads needed to find a model's top-level fields."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.root = self._u32(0)

    def _u32(self, position: int) -> int:
        return int(struct.unpack_from("<I", self._data, position)[0])

    def slot(self, table: int, slot: int) -> int | None:
        """Position of a field's value in its table, or None where the field is absent."""
        vtable = table - int(struct.unpack_from("<i", self._data, table)[0])
        (vtable_size,) = struct.unpack_from("<H", self._data, vtable)
        entry = 4 + 2 * slot
        if entry + 2 > vtable_size:
            return None
        (offset,) = struct.unpack_from("<H", self._data, vtable + entry)
        return table + int(offset) if offset else None

    def scalar(self, position: int) -> int:
        return self._u32(position)

    def follow(self, position: int) -> int:
        return position + self._u32(position)

    def elements(self, vector: int) -> list[int]:
        """Targets of a vector of references."""
        return [self.follow(vector + 4 + 4 * i) for i in range(self._u32(vector))]

    def text(self, position: int) -> str:
        size = self._u32(position)
        return self._data[position + 4 : position + 4 + size].decode("utf-8", errors="replace")


class _Writer:
    """Writes tables parents first, so that every reference points forward."""

    def __init__(self, identifier: bytes) -> None:
        self._out = bytearray(4) + identifier
        self._kept: list[tuple[int, int]] = []  # (where the reference is, position in the old file)

    def finish(self, root: _Table, old: bytes = b"") -> bytes:
        struct.pack_into("<I", self._out, 0, self._table(root))
        self._align(_TENSOR_ALIGNMENT if old else 4)
        base = len(self._out)
        for reference, position in self._kept:
            struct.pack_into("<I", self._out, reference, base + position - reference)
        return bytes(self._out) + old

    def _align(self, size: int, *, ahead: int = 0) -> None:
        self._out += bytes(-(len(self._out) + ahead) % size)

    def _table(self, fields: _Table) -> int:
        slots = max(fields) + 1
        vtable_size = 4 + 2 * slots
        table_size = 4 + 4 * len(fields)  # each field takes 4 bytes, small scalars too
        self._align(4, ahead=vtable_size)
        vtable = len(self._out)
        places = {slot: 4 + 4 * i for i, slot in enumerate(sorted(fields))}
        offsets = [places.get(slot, 0) for slot in range(slots)]
        self._out += struct.pack(f"<HH{slots}H", vtable_size, table_size, *offsets)
        table = len(self._out)
        self._out += struct.pack("<i", table - vtable) + bytes(4 * len(fields))
        for slot, place in places.items():
            self._fill(table + place, fields[slot])
        return table

    def _fill(self, place: int, value: object) -> None:
        """Write a value: a number in place, anything else behind and a reference to it."""
        if isinstance(value, int):
            struct.pack_into("<I", self._out, place, value)
        elif isinstance(value, _Kept):
            self._kept.append((place, value.position))
        else:
            struct.pack_into("<I", self._out, place, self._append(value) - place)

    def _append(self, value: object) -> int:
        if isinstance(value, Mapping):
            return self._table(value)
        if isinstance(value, str):
            return self._blob(value.encode() + b"\0", len(value.encode()))
        if isinstance(value, bytes):
            self._align(16, ahead=4)  # schema.fbs: Buffer.data has force_align 16
            return self._blob(value, len(value))
        if isinstance(value, _Floats):
            packed = struct.pack(f"<{len(value.values)}f", *value.values)
            return self._blob(packed, len(value.values))
        assert isinstance(value, Sequence)
        vector = self._blob(bytes(4 * len(value)), len(value))
        for i, item in enumerate(value):
            self._fill(vector + 4 + 4 * i, item)
        return vector

    def _blob(self, payload: bytes, length: int) -> int:
        self._align(4)
        position = len(self._out)
        self._out += struct.pack("<I", length) + payload
        return position


def _normalisation_record(*, mean: float, std: float) -> bytes:
    """A metadata record: one RGB image input, network input = (pixel - mean) / std."""
    options: _Table = {_MEAN: _Floats(values=(mean,)), _STD: _Floats(values=(std,))}
    image: _Table = {_UNION_TYPE: _IMAGE_PROPERTIES, _UNION_VALUE: {_IMAGE_COLOUR_SPACE: _RGB}}
    tensor: _Table = {
        _TENSOR_NAME: "image",
        _TENSOR_CONTENT: image,
        _TENSOR_PROCESS_UNITS: [{_UNION_TYPE: _NORMALISATION_OPTIONS, _UNION_VALUE: options}],
    }
    return _Writer(_METADATA_IDENTIFIER).finish({_ROOT_SUBGRAPHS: [{_SUBGRAPH_INPUTS: [tensor]}]})


def _vector_of_kept(reader: _Reader, slot: int) -> list[int]:
    place = reader.slot(reader.root, slot)
    return [] if place is None else reader.elements(reader.follow(place))


def add_normalisation(model: bytes, *, mean: float, std: float) -> bytes:
    """Return the TFLite model with a record that its input is ``(pixel - mean) / std``.

    Args:
        model: A `.tflite` file, without such a record.
        mean: In pixel values, 0 to 255, the same for red, green and blue.
        std: Likewise.

    Raises:
        ValueError: Not a TFLite model, or it has a record already.
    """
    if len(model) < 16 or model[4:8] != _MODEL_IDENTIFIER:
        raise ValueError(f"not a TFLite model: got {model[4:8]!r}, expected {_MODEL_IDENTIFIER!r}")
    reader = _Reader(model)
    entries = _vector_of_kept(reader, _MODEL_METADATA)
    for position in entries:
        name = reader.slot(position, _METADATA_KEY)
        if name is not None and reader.text(reader.follow(name)) == _METADATA_NAME:
            raise ValueError(f"the model already has a {_METADATA_NAME} record; use it as it is")
    buffers = _vector_of_kept(reader, _MODEL_BUFFERS)
    root: dict[int, object] = {
        slot: _Kept(position=reader.follow(place))
        for slot in range(1, _NUM_MODEL_SLOTS)
        if (place := reader.slot(reader.root, slot)) is not None
    }
    version = reader.slot(reader.root, _MODEL_VERSION)
    root[_MODEL_VERSION] = reader.scalar(version) if version is not None else 0
    kept = [_Kept(position=position) for position in buffers]
    record = _normalisation_record(mean=mean, std=std)
    root[_MODEL_BUFFERS] = [*kept, {_BUFFER_DATA: record}]
    entry: dict[int, object] = {_METADATA_KEY: _METADATA_NAME, _METADATA_BUFFER: len(buffers)}
    root[_MODEL_METADATA] = [*(_Kept(position=position) for position in entries), entry]
    return _Writer(_MODEL_IDENTIFIER).finish(root, model)
