"""Made-up model inputs, and encoders that have seen some."""

import torch


def windows(num: int, num_frames: int = 16, persons: int = 1, seed: int = 0) -> torch.Tensor:
    """Random movement in which every joint is seen."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, 10, num_frames, 15, persons, generator=generator)
    x[:, -1] = 1
    return x


def settled(encoder: torch.nn.Module) -> torch.nn.Module:
    """An untrained encoder whose batch norms and offsets do something, in evaluation mode."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # statistics of the one batch below
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if "norm" in name or name.endswith("offset"):
                value.add_(0.2 * torch.randn_like(value))
        encoder.train()(2 * windows(16, seed=9))
    return encoder.eval()


def loss_of_twenty_steps(encoder: torch.nn.Module, num_features: int, joint: int) -> list[float]:
    """Teach an encoder to tell a joint that rises from one that falls, in bfloat16."""
    head = torch.nn.Linear(num_features, 2)
    labels = torch.arange(24) % 2
    x = 0.1 * windows(24)
    x[:, -1] = 1
    slope = torch.linspace(-1, 1, 16)[None] * (1 - 2 * labels[:, None])
    x[:, 1, :, joint, 0] += slope
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=5e-3)
    losses = []
    for _ in range(20):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = head(encoder(x))
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
