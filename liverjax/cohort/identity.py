"""Patients without their names: salted keys, and dates as days.

A key is the same wherever the same salt is used, and cannot be turned back without it.
Salt and crosswalk stay in a local folder; everything else may be shared.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import os
import pathlib
import re
import secrets
from collections.abc import Iterable

from liverjax.errors import InputError

SALT_BYTES = 32
# 12 letters of 5 bits: among 100,000 patients two keys agree once in 10^8 studies.
_KEY_LETTERS = 12

LOCAL_README = """\
This folder is local: never copy, upload or send it.

crosswalk.csv  says which key stands for which patient, with ids and dates.
salt           makes the keys; whoever has it can test an id against a key.
files.csv      names of files that the findings call file-1, file-2, ...

Keep both as long as further examinations of these patients may be imported (the same
salt gives the same keys), then delete the folder.
"""


def load_salt(path: pathlib.Path) -> bytes:
    """Returns the secret of a file, made at first use and readable by its owner only.

    Args:
        path: Of 64 hexadecimal digits.

    Raises:
        InputError: If the file holds anything else.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        salt = bytes.fromhex(text)
    except FileNotFoundError:
        salt = secrets.token_bytes(SALT_BYTES)
        write_private(path, f"{salt.hex()}\n")
        return salt
    except (UnicodeDecodeError, ValueError):
        salt = b""
    if len(salt) != SALT_BYTES:
        raise InputError(
            f"{path}: expected {2 * SALT_BYTES} hexadecimal digits, as written at "
            "first use; give the right file, or none for new keys"
        )
    return salt


def subject_key(identifier: str, *, salt: bytes) -> str:
    """Returns the key of a patient or of a UID: ``s`` and 12 letters or digits.

    Args:
        identifier: Hospital number or another name, without outer blanks.
        salt: The secret of `load_salt`.
    """
    digest = hmac.new(salt, identifier.strip().encode(), hashlib.sha256).digest()
    return "s" + base64.b32encode(digest).decode().lower()[:_KEY_LETTERS]


def subject_keys(identifiers: Iterable[str], *, salt: bytes) -> dict[str, str]:
    """Returns the key of each identifier.

    Raises:
        InputError: If two have one key.
    """
    keys = {one: subject_key(one, salt=salt) for one in dict.fromkeys(identifiers)}
    if len(set(keys.values())) < len(keys):
        raise InputError("two patients have one key; use another --salt-file")
    return keys


def write_private(path: pathlib.Path, content: str) -> None:
    """Writes a file that only its owner can read, in a folder only for them."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
    temporary.replace(path)


def parse_day(text: str, *, pattern: str = "%Y-%m-%d") -> datetime.date | None:
    """Returns the calendar day in a cell or a DICOM tag, None if it is empty.

    Args:
        text: A date; ``YYYYMMDD`` (DICOM) and ``YYYY-MM-DD`` are always understood.
        pattern: Of `datetime.datetime.strptime`; nothing else is tried, since
            ``03/04/2019`` is two days.

    Raises:
        InputError: If it is not of that form; the text does not repeat it.
    """
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"\d{8}", text):
        pattern = "%Y%m%d"
    elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        pattern = "%Y-%m-%d"
    try:
        return datetime.datetime.strptime(text, pattern).date()
    except ValueError:
        raise InputError(
            f"not a date of the form {pattern}; name the form with --date-format"
        ) from None
