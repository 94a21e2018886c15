"""The graph is the layout's tree, exactly, and gathers means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2vl_serve.skeleton.graph import SUBSETS, adjacency
from c2vl_serve.skeleton.layout import BODY15, LAYOUTS, SkeletonLayout

# root - a - b and c: one joint with two children.
FORK = SkeletonLayout(name="fork", joints=("root", "a", "b", "c"), parents=(-1, 0, 1, 1))


def test_a_fork_by_hand() -> None:
    itself, inward, outward = adjacency(FORK)
    assert SUBSETS == ("self", "inward", "outward")
    np.testing.assert_array_equal(itself, np.eye(4))
    np.testing.assert_array_equal(
        inward, [[0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(outward, [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])


def test_inward_gathers_children_and_outward_the_parent() -> None:
    _, inward, outward = adjacency(BODY15)
    elbow, wrist = BODY15.index("l_elbow"), BODY15.index("l_wrist")
    assert inward[elbow, wrist] == 1
    assert outward[wrist, elbow] == 1
    assert inward[BODY15.index("chest")].max() == pytest.approx(1 / 3)  # head and two shoulders


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_edges_are_the_tree_and_rows_sum_to_one_or_none(layout: SkeletonLayout) -> None:
    _, inward, outward = adjacency(layout)
    edges = {(joint, parent) for joint, parent in enumerate(layout.parents) if parent >= 0}
    assert set(zip(*np.nonzero(outward), strict=True)) == edges
    assert set(zip(*np.nonzero(inward.T), strict=True)) == edges
    leaves = [joint for joint in range(layout.num_joints) if joint not in layout.parents]
    assert np.flatnonzero(inward.sum(axis=1) == 0).tolist() == leaves
    assert np.flatnonzero(outward.sum(axis=1) == 0).tolist() == [layout.root]
    sums = adjacency(layout).sum(axis=2)
    np.testing.assert_allclose(sums[sums > 0], 1, rtol=1e-6)


@given(st.data())
def test_any_tree_reaches_every_joint_from_the_root(data: st.DataObject) -> None:
    """V - 1 steps outward from the root visit all: the graph is connected, whatever the tree."""
    parents = [-1]
    for joint in range(1, data.draw(st.integers(1, 12))):
        parents.append(data.draw(st.integers(0, joint - 1)))
    layout = SkeletonLayout(
        name="any", joints=tuple(f"j{k}" for k in range(len(parents))), parents=tuple(parents)
    )
    outward = adjacency(layout)[2] + np.eye(len(parents))
    reached = np.linalg.matrix_power(outward, len(parents))[:, layout.root]
    assert (reached > 0).all()
