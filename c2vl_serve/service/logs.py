"""How log lines look: one event a line, its fields behind it, with the request's id."""

import copy
import logging
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from uvicorn.config import LOGGING_CONFIG

from c2vl_serve.service.request_ids import REQUEST_ID

LogFormat = Literal["text", "json"]

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}


def logging_config(form: LogFormat) -> dict[str, Any]:
    """For ``logging.config``: uvicorn's messages and this package's, in one stream and form.

    Uvicorn's access log is left out: it writes whole paths, ours the route's template.
    """
    config = copy.deepcopy(LOGGING_CONFIG)
    formatter = {"text": TextFormatter, "json": JsonFormatter}[form]
    config["formatters"] = {"default": {"()": f"{formatter.__module__}.{formatter.__name__}"}}
    config["handlers"] = {"default": config["handlers"]["default"]}
    config["loggers"] = {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "c2vl_serve": {"handlers": ["default"], "level": "INFO", "propagate": False},
    }
    return config


class TextFormatter(logging.Formatter):
    """``TIME LEVEL LOGGER message key=value ... request_id=...``, a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; values with blanks are quoted, line ends are escaped."""
        head = f"{_time(record)} {record.levelname} {record.name} {_line(record.getMessage())}"
        line = " ".join([head, *(f"{key}={_word(v)}" for key, v in _fields(record).items())])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, the traceback as a field of it."""
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as ``extra``, and the id of the request that the line is about."""
    fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    request_id = REQUEST_ID.get()
    return fields if request_id is None else {**fields, "request_id": request_id}


def _line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _word(value: object) -> str:
    text = _line(str(value))
    return orjson.dumps(text).decode() if " " in text or not text else text
