"""A student that equals its teacher has nothing to learn; one that differs learns from it."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.objectives.distillation import (  # noqa: E402
    Distillation,
    DistillationConfig,
    feature_distance,
    logit_divergence,
)
from tests.training.objectives.made_features import softmax  # noqa: E402

CONFIG = DistillationConfig(feature_weight=1.0, logit_weight=0.5, label_weight=0.25)


def test_a_student_that_equals_its_teacher_has_no_loss() -> None:
    torch.manual_seed(0)
    features, logits = torch.randn(6, 16), torch.randn(6, 5)
    loss = Distillation(16, 16, CONFIG)(
        features, features, student_logits=logits, teacher_logits=logits
    )
    assert loss.total.item() == pytest.approx(0, abs=1e-6)
    assert set(loss.measures) == {"loss/features", "loss/logits"}


def test_directions_count_and_lengths_do_not() -> None:
    features = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    assert feature_distance(7 * features, features).item() == pytest.approx(0, abs=1e-6)
    assert feature_distance(-features, features).item() == pytest.approx(2)
    assert feature_distance(features.flip(1), features).item() == pytest.approx(1)


def test_the_divergence_is_the_slow_one() -> None:
    student, teacher, tau = [[1.0, 0.0, -2.0]], [[0.5, 0.5, 1.0]], 3.0
    p = softmax([z / tau for z in teacher[0]])
    q = softmax([z / tau for z in student[0]])
    slow = tau**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    found = logit_divergence(torch.tensor(student), torch.tensor(teacher), tau)
    assert found.item() == pytest.approx(slow, rel=1e-5)


def test_the_parts_add_up_by_their_weights() -> None:
    torch.manual_seed(1)
    objective = Distillation(4, 8, CONFIG)
    student, teacher = torch.randn(5, 4), torch.randn(5, 8)
    z, y, labels = torch.randn(5, 3), torch.randn(5, 3), torch.tensor([0, 2, 1, 0, 2])
    loss = objective(student, teacher, student_logits=z, teacher_logits=y, labels=labels)
    expected = (
        feature_distance(objective.adapter(student), teacher)
        + 0.5 * logit_divergence(z, y, 4.0)
        + 0.25 * torch.nn.functional.cross_entropy(z, labels)
    )
    torch.testing.assert_close(loss.total, expected)


def test_clips_without_a_label_do_not_count() -> None:
    objective, features = Distillation(4, 4, CONFIG), torch.randn(3, 4)
    z = torch.randn(3, 2)
    some = objective(features, features, student_logits=z, labels=torch.tensor([1, -1, -1]))
    alone = torch.nn.functional.cross_entropy(z[:1], torch.tensor([1]))
    torch.testing.assert_close(some.measures["loss/labels"], 0.25 * alone)
    none = objective(features, features, student_logits=z, labels=torch.tensor([-1, -1, -1]))
    assert none.measures["loss/labels"] == 0


def test_how_often_labels_are_drawn_counts_for_the_labels_alone() -> None:
    objective, features = Distillation(4, 4, CONFIG), torch.randn(2, 4)
    z, labels, drawn = torch.zeros(2, 2), torch.tensor([0, 0]), torch.tensor([0.8, 0.2]).log()
    loss = objective(
        features, features, student_logits=z, teacher_logits=z, labels=labels, log_prior=drawn
    )
    assert loss.measures["loss/logits"] == pytest.approx(0, abs=1e-6)
    assert loss.measures["loss/labels"] == pytest.approx(0.25 * -math.log(0.8))


def test_labels_without_the_students_logits_are_refused() -> None:
    features = torch.randn(2, 4)
    with pytest.raises(C2VLError, match="no logits of the student; expected both"):
        Distillation(4, 4, CONFIG)(features, features, labels=torch.tensor([0, 1]))


def test_the_teacher_gets_no_gradient_and_twenty_steps_lower_the_loss() -> None:
    torch.manual_seed(2)
    x, student = torch.randn(32, 10), torch.nn.Linear(10, 6)
    teacher = (x @ torch.randn(10, 12)).requires_grad_()
    objective = Distillation(6, 12, CONFIG)
    optimiser = torch.optim.Adam([*student.parameters(), *objective.parameters()], lr=0.03)
    losses = []
    for _ in range(20):
        loss = objective(student(x), teacher).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert teacher.grad is None
    assert losses[-1] < losses[0] - 0.2
