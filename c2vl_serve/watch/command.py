"""``c2vl-serve watch SOURCE``: recognise a webcam, an address or a file as it goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.live import Live

from c2vl_serve.pose import POSE_FPS, find_pose_model
from c2vl_serve.pose.live_poses import LivePoses
from c2vl_serve.pose.live_source import LiveSource, open_source
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.settings import read_settings
from c2vl_serve.watch.terminal import line, panel
from c2vl_serve.watch.watcher import Moment, Watcher
from c2vl_serve.watch.window import OverlayWindow

Show = Callable[[Moment], bool]  # False ends it


def watch(
    source: Annotated[
        str, typer.Argument(help="A webcam's number, an rtsp:// or http:// address, or a file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON answer a line.")] = False,
    window: Annotated[bool, typer.Option(help="Show the picture with the skeletons.")] = False,
    persons: Annotated[int, typer.Option(min=1, max=10, help="Persons at most.")] = 1,
    top_k: Annotated[int, typer.Option(min=1, help="Actions for each person.")] = 5,
    stride: Annotated[float, typer.Option(min=0.1, help="Seconds between answers.")] = 0.5,
    bundle: Annotated[str | None, typer.Option(help="A shipped bundle, or a folder.")] = None,
    provider: Annotated[str | None, typer.Option(help="As of run. [default: cpu]")] = None,
) -> None:
    """Recognise a camera or a file as it goes; no server is needed. Ctrl-C ends it."""
    settings = read_settings(bundle=bundle, provider=provider)
    recognizer = ActionRecognizer.load(settings.bundle, provider=settings.provider)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        opened = stack.enter_context(closing(open_source(source)))
        show = _chosen_show(stack, opened, source, as_json=as_json, window=window)
        model = find_pose_model(settings.pose_model)
        poses = stack.enter_context(LivePoses(model, num_poses=persons))
        watcher = Watcher(
            recognizer=recognizer,
            estimate=poses.estimate,
            persons=persons,
            top_k=top_k,
            stride=stride,
        )
        for moment in _moments(watcher, opened, is_paced=not as_json):
            if not show(moment):
                break


def _moments(watcher: Watcher, source: LiveSource, *, is_paced: bool) -> Iterator[Moment]:
    """What is seen; a file that is shown to somebody plays no faster than it was recorded."""
    begun = time.monotonic()
    for frame in source.frames(POSE_FPS):
        if is_paced and not source.is_live:
            time.sleep(max(0.0, begun + frame.time - time.monotonic()))
        yield watcher.see(frame)


def _chosen_show(
    stack: ExitStack, source: LiveSource, name: str, *, as_json: bool, window: bool
) -> Show:
    if as_json:
        return lambda moment: _print_json(moment, source)
    if window:
        return stack.enter_context(OverlayWindow()).show
    console = Console()
    if not console.is_terminal:
        return _print_line
    live = stack.enter_context(Live(console=console, auto_refresh=False))

    def show(moment: Moment) -> bool:
        live.update(panel(moment, name, source.num_dropped), refresh=True)
        return True

    return show


def _print_line(moment: Moment) -> bool:
    if moment.is_new:
        typer.echo(line(moment))
    return True


def _print_json(moment: Moment, source: LiveSource) -> bool:
    if moment.is_new and moment.found is not None:
        persons = [
            {
                "id": person.id,
                "actions": [asdict(action) for action in person.actions],
                "recognised": person.recognised,
            }
            for person in moment.found.persons
        ]
        answer = {
            "time": round(moment.frame.time, 3),
            "actions": [asdict(action) for action in moment.found.actions],
            "recognised": moment.found.recognised,
            "persons": persons,
            "fps": round(moment.fps, 2),
            "dropped": source.num_dropped,
        }
        typer.echo(orjson.dumps(answer).decode())
    return True
