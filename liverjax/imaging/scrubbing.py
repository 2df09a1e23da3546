"""Findings without the names of files, which may be those of patients."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

from liverjax.imaging.dicom_convert import Outcome


class Scrubber:
    """Puts ``file-7`` in the place of the names of a tree's files.

    Attributes:
        files: The key of each file; for the local folder only.
    """

    def __init__(self, root: pathlib.Path) -> None:
        paths = sorted(
            pathlib.Path(folder, name)
            for folder, _, names in os.walk(root)
            for name in names
        )
        self.files = {path: f"file-{n}" for n, path in enumerate(paths, start=1)}
        self._names: dict[str, str] = {}
        for path, key in self.files.items():
            self._names[str(path)] = key
            self._names.setdefault(path.name, key)

    def __call__(self, text: str) -> str:
        """Returns a text without them.

        A finding puts a file's name between colons; elsewhere a word of five letters or
        more that is a file's name is taken for it.
        """
        pieces = [self._names.get(piece, piece) for piece in text.split(": ")]
        return ": ".join(
            re.sub(r"[^\s,;()'\"]{5,}", lambda m: self._names.get(m[0], m[0]), piece)
            for piece in pieces
        )


def scrubbed(outcome: Outcome, *, scrub: Scrubber) -> Outcome:
    """Returns an outcome whose findings name neither files nor series numbers."""
    volumes = tuple(
        dataclasses.replace(
            volume,
            findings=tuple(
                dataclasses.replace(
                    f, text=scrub(f.text.replace(volume.info.name, "the series"))
                )
                for f in volume.findings
            ),
        )
        for volume in outcome.volumes
    )
    return dataclasses.replace(outcome, volumes=volumes)
