"""What OpenAPI cannot see in the code: the four body forms of ``/predict`` and the problems."""

from typing import Any

from c2vl_serve.service.bodies import JSON, MULTIPART, NPY
from c2vl_serve.service.problems import MEDIA_TYPE
from c2vl_serve.service.schemas import ProblemDetails
from c2vl_serve.skeleton.layout import LAYOUTS

_NUMBERS = {"type": "array", "items": {}}

_LAYOUT: dict[str, Any] = {
    "description": "a layout's name, or the description of one of your own",
    "oneOf": [
        {"type": "string", "enum": sorted(LAYOUTS)},
        {
            "type": "object",
            "required": ["name", "joints"],
            "properties": {
                "name": {"type": "string"},
                "joints": {
                    "type": "object",
                    "description": "each joint's parent; the root's is null",
                    "additionalProperties": {"type": ["string", "null"]},
                },
                "up": {"type": "string", "enum": ["+y", "-y", "+z", "-z"]},
            },
        },
    ],
}

_SKELETON: dict[str, Any] = {
    "type": "object",
    "required": ["joints", "layout", "fps"],
    "additionalProperties": False,
    "properties": {
        "joints": {
            "description": "nested T x V x C (one person) or T x M x V x C; or a flat list with "
            "`shape`; or base64 of little-endian float32 with `shape` and `encoding`",
            "oneOf": [_NUMBERS, {"type": "string", "contentEncoding": "base64"}],
        },
        "layout": _LAYOUT,
        "fps": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000},
        "visibility": {
            "description": "0..1, one value a joint; in the same form as `joints`",
            "oneOf": [_NUMBERS, {"type": "string", "contentEncoding": "base64"}],
        },
        "up": {"type": "string", "enum": ["+y", "-y", "+z", "-z"]},
        "shape": {
            "description": "[T, M, V, C] or [T, V, C]",
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 3,
            "maxItems": 4,
        },
        "encoding": {"type": "string", "enum": ["base64"]},
        "person_ids": {"type": "array", "items": {"type": "integer"}},
    },
}

_BINARY = {"type": "string", "format": "binary"}

PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "description": "a skeleton or a video; the type of an uploaded file is found from its content",
    "content": {
        JSON: {"schema": _SKELETON},
        NPY: {
            "schema": {
                **_BINARY,
                "description": "the same array, from numpy.save; layout and fps in the query",
            }
        },
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        **_BINARY,
                        "description": "a video, or .skeleton, .npy, .npz, .json or .csv",
                    }
                },
            }
        },
        "video/*": {"schema": {**_BINARY, "description": "anything that FFmpeg decodes"}},
    },
}

_TENSOR: dict[str, Any] = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string", "enum": ["x"]},
        "datatype": {"type": "string", "enum": ["FP32"]},
        "shape": {"type": "array", "items": {"type": "integer"}, "description": "N, C, T, V, M"},
        "data": {**_NUMBERS, "description": "flat, or nested as the shape says"},
        "parameters": {
            "type": "object",
            "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
        },
    },
}

INFER_BODY: dict[str, Any] = {
    "required": True,
    "description": "the preprocessed tensor; see the model's metadata for its shape",
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string", "enum": ["logits", "representation"]}
                            },
                        },
                    },
                },
            }
        },
        "application/octet-stream": {
            "schema": {
                **_BINARY,
                "description": "the same JSON, Inference-Header-Content-Length bytes of it, and "
                "then the raw tensor, little-endian",
            }
        },
    },
}

_STATUSES = {
    400: "unreadable body or header",
    401: "no API key, or one that is not known",
    404: "nothing of this name is here",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "the body is of a type that is not taken",
    422: "readable, but unusable: empty, NaN, wrong joint count, undecodable video, bad query",
    429: "more requests than this key, or address, may make; see Retry-After",
    503: "not ready or too busy; see Retry-After",
}

_SCHEMA = {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: _SCHEMA}}
    for status, description in _STATUSES.items()
}
