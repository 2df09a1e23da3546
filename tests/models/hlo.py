"""Finds in a compiled CPU program the convolutions that XLA runs slowly."""

from __future__ import annotations

import re

_CONVOLUTION = re.compile(r"^.* convolution\(.*$", re.MULTILINE)
_ORDINARY = ("b01f_01io->b01f", "b0f_0io->b0f")
_UNUSUAL = ("rhs_reversal", "lhs_dilate", "feature_group_count", "batch_group_count")


def slow_convolutions(text: str) -> list[str]:
    """The convolutions in a compiled program's text that miss XLA's fast kernels.

    Fast is an ordinary channels-last forward convolution. Slow is one with other
    dimension labels, a reversed window, a dilated input or groups. Autodiff leaves
    these inside a loop; outside one XLA mends the labels, so compile a loop. (A window
    larger than its image shows too: XLA exchanges the two.)

    Args:
        text: ``lowered.compile().as_text()`` of a program for CPU.
    """
    found = []
    for line in _CONVOLUTION.findall(text):
        labels = re.search(r"dim_labels=([\w?]+->[\w?]+)", line)
        reasons = [word for word in _UNUSUAL if word in line]
        if labels is None or labels[1] not in _ORDINARY:
            reasons.append(f"labels {labels[1] if labels else 'unknown'}")
        if reasons:
            found.append(f"{', '.join(reasons)}: {line.strip()[:160]}")
    return found


def count_convolutions(text: str) -> int:
    """Convolutions in a compiled program, so that "no slow ones" says something."""
    return len(_CONVOLUTION.findall(text))
