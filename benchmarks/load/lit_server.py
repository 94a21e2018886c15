"""The peer: the same recogniser behind LitServe, in a virtual environment of its own.

    LITSERVE_PYTHON benchmarks/load/lit_server.py PORT WORKERS

It takes the same body and runs the same code on it, so that what differs is the server.
"""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body

from c2vl_serve import ActionRecognizer, SkeletonSequence
from c2vl_serve.recognition.answers import Recognition
from c2vl_serve.skeleton.formats import ReadOptions, sequence_from_npy
from c2vl_serve.skeleton.layout import KINECT20


class Peer(litserve.LitAPI):
    """``.npy`` of joints in, actions out."""

    def setup(self, device: str) -> None:
        """Load the shipped bundle, with one thread a call, as our service does."""
        self._recognizer = ActionRecognizer.load("everyday")

    def decode_request(
        self, request: Annotated[bytes, Body(media_type="application/x-npy")]
    ) -> SkeletonSequence:
        """The sequence in the body."""
        return sequence_from_npy(request, ReadOptions(layout=KINECT20, fps=30.0))

    def predict(self, x: SkeletonSequence) -> Recognition:
        """What the service calls as well."""
        return self._recognizer.recognise(x)

    def encode_response(self, output: Recognition) -> dict[str, Any]:
        """The best actions."""
        actions = [{"label": action.label, "score": action.score} for action in output.actions]
        return {"actions": actions, "recognised": output.recognised}


if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    server = litserve.LitServer(
        Peer(api_path="/predict"), accelerator="cpu", workers_per_device=workers, timeout=120
    )
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)
