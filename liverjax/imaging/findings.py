"""Findings: what is odd about an examination, with a code, a sentence, a decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

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


def settle(
    findings: Iterable[Finding], *, allow: Collection[str] = (), where: str = ""
) -> tuple[Finding, ...]:
    """Returns the findings when none stops the examination.

    Args:
        findings: What was noticed; a failed one whose code is in ``allow`` is kept as a
            warning that says so.
        allow: Codes that the user takes responsibility for.
        where: Path or name put before the text of the error.

    Raises:
        ExaminationError: If a failed finding is left; its code is the first one's, its
            text holds all of them.
    """
    settled = [
        dataclasses.replace(item, level=WARNING, text=f"{item.text} (allowed by name)")
        if item.level == FAILED and item.code in allow
        else item
        for item in findings
    ]
    failed = [item for item in settled if item.level == FAILED]
    if failed:
        text = "; ".join(item.text for item in failed)
        raise ExaminationError(failed[0].code, f"{where}: {text}" if where else text)
    return tuple(settled)
