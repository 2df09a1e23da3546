"""Tables as someone with another framework writes them, from simulated numbers."""

from __future__ import annotations

import csv
import pathlib

import numpy as np


def write(path: pathlib.Path, columns: dict) -> pathlib.Path:
    """Writes columns of cells, a row a line."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        lines.writerows(zip(*columns.values(), strict=True))
    return path


def binary(seed: int = 0, *, n: int = 120, signal: float = 1.3) -> dict:
    """Returns yes/no truths with probabilities and a few clinical columns."""
    truth = np.random.default_rng(1).integers(0, 2, n)
    rng = np.random.default_rng(seed)
    latent = signal * truth + rng.normal(0, 1, n)
    return {
        "subject": [f"P{i:03d}" for i in range(n)],
        "target": truth.tolist(),
        "score": np.round(1 / (1 + np.exp(0.6 - latent)), 4).tolist(),
        "sex": ["fm"[i % 2] for i in range(n)],
        "age_years": np.round(rng.normal(58, 11, n)).astype(int).tolist(),
        "fib4": np.round(np.exp(rng.normal(0.4 + 0.5 * truth, 0.6)), 2).tolist(),
    }


def stages(seed: int = 0, *, n: int = 150) -> dict:
    """Returns fibrosis stages with a probability of each."""
    truth = np.random.default_rng(1).integers(0, 5, n)
    rng = np.random.default_rng(seed)
    latent = truth + rng.normal(0, 1.1, n)
    logits = -((latent[:, None] - np.arange(5)) ** 2) / 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {
        "subject": [f"P{i:03d}" for i in range(n)],
        "target": [f"F{t}" for t in truth],
        **{f"prob_F{k}": shares[:, k].tolist() for k in range(5)},
        "centre": ["AB"[i % 2] for i in range(n)],
    }


def number(seed: int = 0, *, n: int = 60) -> dict:
    """Returns fat fractions in percent and their estimates."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2, 5, n)
    return {
        "subject": [f"P{i:03d}" for i in range(n)],
        "target": np.round(truth, 2).tolist(),
        "score": np.round(truth * 0.9 + 1 + rng.normal(0, 1.5, n), 2).tolist(),
    }


def survival(seed: int = 0, *, n: int = 90) -> dict:
    """Returns times in days, what ended them, and risks."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(0, 1, n)
    time = rng.exponential(800 * np.exp(-0.8 * risk))
    ends = rng.uniform(100, 2000, n)
    return {
        "subject": [f"P{i:03d}" for i in range(n)],
        "target": np.ceil(np.minimum(time, ends)).astype(int).tolist(),
        "event": (time <= ends).astype(int).tolist(),
        "score": np.round(risk, 4).tolist(),
        "sex": ["fm"[i % 2] for i in range(n)],
    }
