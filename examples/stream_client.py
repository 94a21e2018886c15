"""Send a skeleton to /stream as if it were recorded now, and print what comes back.

    python examples/stream_client.py --url ws://127.0.0.1:8000/stream

Any client follows the same steps: hello, then frames as they are recorded, and answers are read
at the same time. docs/stream.md has the protocol.
"""

import argparse
import json
import threading
import time
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

CHUNK = 3  # frames a message: a fifth of a second at 15 frames per second


def send(stream: ClientConnection, skeleton: dict, speed: float) -> None:
    """All frames at their own pace, then the end."""
    for start in range(0, len(skeleton["joints"]), CHUNK):
        joints = skeleton["joints"][start : start + CHUNK]
        time.sleep(len(joints) / skeleton["fps"] / speed)
        stream.send(json.dumps({"type": "frames", "joints": joints}))
    stream.send(json.dumps({"type": "end"}))


def show(message: dict) -> None:
    """One line a message."""
    if message["type"] == "window":
        best = message["actions"][0] if message["actions"] else {"label": "nobody", "score": 0}
        print(  # noqa: T201
            f"{message['start']:.1f}-{message['end']:.1f} s  {best['label']:20} "
            f"{best['score']:.2f}  {message['latency_ms']:.0f} ms after its last frame"
        )
    else:
        print(message)  # noqa: T201


def main() -> None:
    """Stream the file; end when the service has answered its last window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="ws://127.0.0.1:8000/stream")
    parser.add_argument("--file", type=Path, default=Path(__file__).with_name("wave.json"))
    parser.add_argument("--key", help="an API key, where the service wants one")
    parser.add_argument("--speed", type=float, default=1.0, help="2 sends twice as fast")
    options = parser.parse_args()
    skeleton = json.loads(options.file.read_text(encoding="utf-8"))
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    with connect(options.url, additional_headers=headers) as stream:
        hello = {"layout": skeleton["layout"], "fps": skeleton["fps"], "window": 1, "stride": 0.5}
        stream.send(json.dumps({"type": "hello", **hello, "top_k": 1}))
        sender = threading.Thread(target=send, args=(stream, skeleton, options.speed))
        sender.start()
        for text in stream:
            show(json.loads(text))
        sender.join()


if __name__ == "__main__":
    main()
