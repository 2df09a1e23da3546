"""Flags that say how a person's table is written; shared by the command lines."""

from __future__ import annotations

from absl import flags

from liverjax.cohort.table_text import Dialect

DELIMITER = flags.DEFINE_string(
    "delimiter", ",", "Character between the table's cells; 'tab' for a tab."
)
DECIMAL = flags.DEFINE_enum(
    "decimal", ".", [".", ","], "Decimal sign of the table's numbers."
)
ENCODING = flags.DEFINE_string(
    "encoding", "utf-8", "Text encoding of the table, such as cp1252."
)


def dialect() -> Dialect:
    """Returns how the table is written.

    Raises:
        InputError: If a flag's value is impossible.
    """
    return Dialect(DELIMITER.value, DECIMAL.value, ENCODING.value)
