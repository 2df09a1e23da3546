"""The study of an earlier run, from its ``config.json``.

python -m liverjax.main --config=configs/saved.py:runs/demo/config.json --workdir=...
"""

import json
import pathlib

from ml_collections import ConfigDict


def get_config(path: str) -> ConfigDict:
    """Returns the study that a run folder's ``config.json`` describes."""
    return ConfigDict(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))
