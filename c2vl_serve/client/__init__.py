"""Client and AsyncClient: a service elsewhere as typed Python; needs the extra ``client``.

with Client("http://127.0.0.1:8000") as client:
    client.predict("jump.mp4").actions[0].label
"""

from c2vl_serve.client.answers import (
    Action,
    Bundle,
    EmbeddedPerson,
    Embeddings,
    Enrolled,
    EnrolledList,
    Enrolment,
    Frames,
    Person,
    Pose,
    Prediction,
    Segment,
    Window,
)
from c2vl_serve.client.asynchronous import AsyncClient
from c2vl_serve.client.synchronous import Client

__all__ = [
    "Action",
    "AsyncClient",
    "Bundle",
    "Client",
    "EmbeddedPerson",
    "Embeddings",
    "Enrolled",
    "EnrolledList",
    "Enrolment",
    "Frames",
    "Person",
    "Pose",
    "Prediction",
    "Segment",
    "Window",
]
