"""The same ResNet18 in PyTorch, trained in a process of its own.

Written from the published architecture with plain `torch.nn`, because torchvision is
not needed for anything else. A worker keeps its network and answers one question again
and again: how many images a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection


@dataclasses.dataclass(frozen=True)
class Rival:
    """How PyTorch trains.

    Attributes:
        size_px: Side of the square images.
        width: Channels of the first stage.
        batch_size: Images a step.
        threads: Of each process.
        processes: Each trains a network of its own.
        device: ``cpu`` or ``cuda``.
        compiled: Through `torch.compile`.
        bfloat16: Compute under autocast.
    """

    size_px: int
    width: int
    batch_size: int
    threads: int = 1
    processes: int = 1
    device: str = "cpu"
    compiled: bool = False
    bfloat16: bool = False


@contextlib.contextmanager
def workers(rival: Rival) -> Iterator[Sequence[Connection]]:
    """Gives connections to running processes; each was warmed up."""
    context = multiprocessing.get_context("spawn")
    connections, processes = [], []
    try:
        for _ in range(rival.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, rival), daemon=True)
            process.start()
            connections.append(ours)
            processes.append(process)
        for connection in connections:
            connection.recv()
        yield connections
    finally:
        for process in processes:
            process.kill()
            process.join()


def images_per_s(connections: Sequence[Connection], *, seconds: float) -> float:
    """Returns what the processes train together, all at the same time."""
    for connection in connections:
        connection.send(seconds)
    return sum(connection.recv() for connection in connections)


def _work(connection: Connection, rival: Rival) -> None:
    step = _make_step(rival)
    for _ in range(3):
        step()
    connection.send("ready")
    while True:
        seconds = connection.recv()
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            step()
            count += 1
        connection.send(count * rival.batch_size / (time.perf_counter() - began))


def _make_step(rival: Rival):
    """Returns a function that takes one training step and waits for it."""
    import torch

    torch.set_num_threads(rival.threads)
    torch.manual_seed(0)
    device = torch.device(rival.device)
    network = _resnet18(rival.width).to(device, memory_format=torch.channels_last)
    network.train()
    forward = torch.compile(network) if rival.compiled else network
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-3)
    shape = (8 * rival.batch_size, 3, rival.size_px, rival.size_px)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    target = torch.rand(len(images), device=device)
    losses = []

    def step() -> None:
        chosen = torch.randperm(len(images), device=device)[: rival.batch_size]
        batch = (images[chosen].float() / 255 - 0.5) / 0.25
        with torch.autocast(device.type, torch.bfloat16, enabled=rival.bfloat16):
            output = forward(batch)
        loss = (output.float()[:, 0] - target[chosen]).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
        if len(losses) == 8:  # wait as seldom as a loop that logs would
            torch.stack(losses).cpu()
            losses.clear()

    return step


def _resnet18(width: int):
    """The network: stem, four stages of two basic blocks, one output."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                    nn.BatchNorm2d(outputs),
                )

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = width
    for stage in range(4):
        outputs = width * 2**stage
        layers.append(Block(inputs, outputs, 2 if stage else 1))
        layers.append(Block(outputs, outputs, 1))
        inputs = outputs
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1)
    )
