"""The pictures of a run: its curves, which labels it confuses, where its clips lie."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Float64
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import StandardScaler

from c2vl_training.supervised import History

STYLE: dict[Any, Any] = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}


def draw_curves(histories: dict[str, History], path: Path) -> None:
    """Training loss and accuracy against steps, one colour a network, one dash pattern a stage.

    Args:
        histories: of runs called ``STAGE NETWORK``, as ``final run 1/2``.
        path: of the picture.
    """
    stages = list(dict.fromkeys(name.split(" ", 1)[0] for name in histories))
    networks = list(dict.fromkeys(name.split(" ", 1)[1] for name in histories))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        loss, accuracy = figure.subplots(1, 2)
        for name, history in histories.items():
            stage, network = name.split(" ", 1)
            last = stage == stages[-1]
            line = {
                "color": f"C{networks.index(network)}",
                "linestyle": "-" if last else ":",
                "linewidth": 1,
                "label": network if last else None,
            }
            loss.plot(history.steps, history.loss, **line)
            accuracy.plot(history.steps, [100 * a for a in history.accuracy], **line)
        loss.set(xlabel="step", ylabel="loss (cross entropy)")
        accuracy.set(xlabel="step", ylabel="accuracy on disturbed windows, %", ylim=(0, 100))
        handles, labels = loss.get_legend_handles_labels()
        title = f"{stages[-1]}; dotted: {', '.join(stages[:-1])}" if stages[1:] else stages[-1]
        figure.legend(handles, labels, loc="outside right center", frameon=False, title=title)
        figure.savefig(path, dpi=150)


def draw_measures(measures: dict[str, list[float]], path: Path) -> None:
    """One small plot a measure of pretraining, against its share of the run."""
    columns = min(4, len(measures))
    rows = -(-len(measures) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * columns, 1.8 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flat
        for place, (name, values) in zip(places, sorted(measures.items()), strict=False):
            place.plot(np.linspace(0, 1, len(values)), values, linewidth=1)
            place.set(title=name, xlabel="share of the run")
        figure.savefig(path, dpi=150)


def draw_map(
    representations: Float[np.ndarray, "N D"],
    labels: np.ndarray,
    names: tuple[str, ...],
    path: Path,
) -> None:
    """Clips on a plane, near each other where their representations are (t-SNE of 30 PCA axes).

    Van der Maaten and Hinton, JMLR 2008. Distances between far groups mean nothing.
    """
    axes = PCA(min(30, *representations.shape), random_state=0).fit_transform(
        StandardScaler().fit_transform(representations)
    )
    perplexity = min(30.0, (len(axes) - 1) / 3)
    places = TSNE(perplexity=perplexity, random_state=0, init="pca").fit_transform(axes)
    colours = mpl.colormaps["nipy_spectral"](np.linspace(0, 0.95, len(names)))
    with mpl.rc_context({**STYLE, "font.size": 6}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        plane = figure.subplots()
        for label in np.unique(labels):
            own = places[labels == label]
            plane.scatter(
                own[:, 0], own[:, 1], s=8, color=colours[label], label=names[label], linewidths=0
            )
        plane.set(xticks=[], yticks=[])
        plane.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left", ncols=2)
        figure.savefig(path, dpi=150)


def draw_confusion(
    scores: Float64[np.ndarray, "N K"], labels: np.ndarray, names: tuple[str, ...], path: Path
) -> None:
    """Row: true label of the test clips; column: best label; shade: share of the row."""
    present = np.unique(np.concatenate([labels, scores.argmax(axis=1)]))
    matrix = confusion_matrix(labels, scores.argmax(axis=1), labels=present, normalize="true")
    side = 2 + 0.17 * len(present)
    ticks = [names[label] for label in present]
    with mpl.rc_context({**STYLE, "font.size": 6}):
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(matrix > 0.04):
            share = matrix[row, column]
            colour = "white" if share > 0.5 else "black"
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=4,
                color=colour,
            )
        axes.set_xticks(range(len(ticks)), ticks, rotation=90)
        axes.set_yticks(range(len(ticks)), ticks)
        axes.set(xlabel="recognised as (%)", ylabel="true label of the test clip")
        figure.savefig(path, dpi=150)
