"""The trained network rewritten for inference before it is traced: the same sums, cheaper.

The graph convolution ``W [A_1 x, A_2 x, A_3 x]`` becomes one matrix product over the joints, whose
columns lie joint by joint with the subsets of each together, and one convolution that strides
over those groups: nothing is transposed. Folding adjacency and mixing into one dense matrix
would multiply the work by the number of joints.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from c2vl_training.model.ensemble import Ensemble
from c2vl_training.model.graph import GraphConvolution
from c2vl_training.model.language import WithLanguage


class StridedGraphConvolution(nn.Module):
    """:class:`GraphConvolution` as a matrix product and a strided convolution, normalised."""

    gather: Tensor

    def __init__(self, trained: GraphConvolution) -> None:
        super().__init__()
        graph = (trained.adjacency + trained.offset).detach()  # subset, to, from
        K, V, _ = graph.shape
        self.register_buffer("gather", graph.permute(2, 1, 0).reshape(V, V * K).contiguous())
        weight = trained.mix.weight.detach()  # D, (subset, C), 1, 1
        D = len(weight)
        self.mix = nn.Conv2d(weight.shape[1] // K, D, (1, K), stride=(1, K), bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(weight.reshape(D, K, -1).transpose(1, 2).unsqueeze(2))
        self.norm = trained.norm

    def forward(self, x: Float[Tensor, "N C T V"]) -> Float[Tensor, "N D T V"]:
        """One convolution over the graph, normalised."""
        return self.norm(self.mix(torch.matmul(x, self.gather)))


def for_inference(model: nn.Module) -> nn.Module:
    """A copy of a trained model in evaluation mode with every graph convolution rewritten.

    An ensemble of one without experts is its only member.
    """
    rewritten = _only_member(copy.deepcopy(model).eval())
    if isinstance(rewritten, WithLanguage):
        rewritten.model = _only_member(rewritten.model)
    for parent in list(rewritten.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, GraphConvolution):
                setattr(parent, name, StridedGraphConvolution(child))
    return rewritten


def _only_member(model: nn.Module) -> nn.Module:
    if isinstance(model, Ensemble) and len(model.members) == 1 and model.experts is None:
        return model.members[0]
    return model
