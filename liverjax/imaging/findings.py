"""Findings: what is odd about an examination, with a code, a sentence, a decision."""

from __future__ import annotations

import dataclasses

from liverjax.errors import InputError

WARNING = "warning"
FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something noticed in an image, a mask or a registration.

    Attributes:
        code: Short stable name, ``kebab-case``; options such as ``--allow`` take it.
        text: One sentence: what, where, what was expected, how to mend it.
        level: ``warning`` (kept and named) or ``failed`` (the examination is left out).
    """

    code: str
    text: str
    level: str = WARNING


class ExaminationError(InputError):
    """An examination's voxels cannot be used; it becomes ``failed`` and is named.

    Attributes:
        finding: Code and sentence for ``status.csv``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.finding = Finding(code, text, FAILED)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Survives the way back from a worker process."""
        return type(self), (self.finding.code, self.finding.text)
