"""Projectors give unit vectors, concepts come by name, and the averaged copy follows."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from c2vl_serve.errors import C2VLError  # noqa: E402
from c2vl_training.model.projector import (  # noqa: E402
    ConceptHeads,
    Projector,
    averaged_copy,
    follow,
)


def test_projected_skeletons_are_unit_vectors_in_float32() -> None:
    projector = Projector(12, 5, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        s = projector(torch.randn(9, 12))
    assert (s.shape, s.dtype) == ((9, 5), torch.float32)
    torch.testing.assert_close(s.norm(dim=1), torch.ones(9))


def test_two_sources_make_a_union_and_one_does_not() -> None:
    both = ConceptHeads({"vision": 6, "language": 4}, 5)
    concepts = both({"language": torch.randn(3, 4), "vision": torch.randn(3, 6)})
    assert tuple(concepts) == both.concepts == ("vision", "language", "union")
    for concept in concepts.values():
        torch.testing.assert_close(concept.norm(dim=1), torch.ones(3))
    assert ConceptHeads({"language": 4}, 5).concepts == ("language",)


def test_the_union_is_made_from_both() -> None:
    torch.manual_seed(0)
    heads = ConceptHeads({"vision": 6, "language": 4}, 5)
    v, l, w = torch.randn(3, 6), torch.randn(3, 4), torch.randn(3, 4)  # noqa: E741
    one, other = (heads({"vision": v, "language": x}) for x in (l, w))
    assert torch.equal(one["vision"], other["vision"])
    assert not torch.allclose(one["union"], other["union"])


def test_the_length_of_an_embedding_does_not_matter() -> None:
    heads, x = ConceptHeads({"language": 4}, 5), torch.randn(3, 4)
    torch.testing.assert_close(heads({"language": x}), heads({"language": 9 * x}))


def test_what_all_embeddings_share_is_taken_away() -> None:
    common = torch.tensor([3.0, 0.0, 0.0, 0.0])
    alike = torch.nn.functional.normalize(common + torch.randn(6, 4), dim=1)
    centre = {"language": alike.mean(dim=0)}
    plain, centred = ConceptHeads({"language": 4}, 4), ConceptHeads({"language": 4}, 4, centre)
    for heads in (plain, centred):
        torch.nn.init.eye_(heads.heads["language"].weight)
        torch.nn.init.zeros_(heads.heads["language"].bias)
    spread = [
        (heads({"language": alike})["language"] @ heads({"language": alike})["language"].T).mean()
        for heads in (plain, centred)
    ]
    assert spread[0] > 0.7
    assert spread[1] < 0.3


def test_wrong_sources_are_refused() -> None:
    with pytest.raises(C2VLError, match=r"got embeddings of \['vision'\]; expected .*'language'"):
        ConceptHeads({"language": 4})({"vision": torch.randn(2, 4)})
    with pytest.raises(C2VLError, match="none called 'union'"):
        ConceptHeads({"union": 4})


def test_the_copy_follows_weights_and_batch_statistics() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    average = averaged_copy(model)
    start = {name: value.clone() for name, value in average.state_dict().items()}
    with torch.no_grad():
        for value in model.parameters():
            value.add_(1)
    model(torch.randn(8, 3))
    follow(average, model, 0.75)
    for name, value in model.state_dict().items():
        expected = 0.75 * start[name] + 0.25 * value if value.is_floating_point() else value
        torch.testing.assert_close(average.state_dict()[name], expected)
    assert not any(value.requires_grad for value in average.parameters())
    assert all(value.requires_grad for value in model.parameters())
