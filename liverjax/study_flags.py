"""The flag ``--config`` as every command line of a study reads it."""

from __future__ import annotations

import pathlib
import re
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from liverjax.config import StudyConfig, from_config_dict
from liverjax.errors import InputError

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The study: a file of configs/, such as configs/cp_ct.py or configs/cp_ct.py:demo; "
    "any value is changed by --config.NAME=VALUE.",
)
# Its parsers read numbers and words alone.
_NONE = re.compile(r"--?config\.([\w.]+)=None")


def parse() -> StudyConfig:
    """Returns the study that the command line names, all flags parsed.

    ``--config.NAME=None`` unsets a value, whatever its type.

    Raises:
        InputError: If a flag, the config file, an override or a value is wrong.
    """
    if {"--help", "-h", "--helpfull"} & set(sys.argv[1:]):
        main = sys.modules["__main__"]
        own = flags.FLAGS.module_help(main) if hasattr(main, "main") else ""
        print(f"{main.__doc__}\n{own}\n{flags.FLAGS.module_help(__name__)}")
        sys.exit(0)
    config_file = next(
        (a for a in sys.argv if a.startswith(("--config=", "-config="))), ""
    )
    path = pathlib.Path(config_file.partition("=")[2].partition(":")[0])
    if config_file and not path.is_file():
        raise InputError(f"--config: {path} is not there; expected a file of configs/")
    unset = [match[1] for match in map(_NONE.fullmatch, sys.argv) if match]
    # The config's flag reads sys.argv itself, too.
    sys.argv = [word for word in sys.argv if not _NONE.fullmatch(word)]
    try:
        rest = flags.FLAGS(sys.argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(_sentence(error)) from None
    if len(rest) > 1:
        raise InputError(f"unexpected arguments {rest[1:]}; flags start with --")
    if CONFIG.value is None:
        raise InputError("--config is missing; for example --config=configs/cp_ct.py")
    for name in unset:
        _unset(CONFIG.value, name)
    return from_config_dict(CONFIG.value)


def _unset(config: ConfigDict, name: str) -> None:
    *groups, last = name.split(".")
    place: Any = config
    for group in groups:
        place = place[group] if isinstance(place, ConfigDict) and group in place else ()
    if not isinstance(place, ConfigDict) or last not in place:
        raise InputError(f"--config.{name}: no such value")
    place[last] = None


def saved(path: pathlib.Path) -> str:
    """Returns the ``--config`` flag that gives a run's ``config.json`` again."""
    from configs import saved as config_file

    return f"--config={config_file.__file__}:{path}"


def _sentence(error: Exception) -> str:
    """What a flag error says to a person: no traceback, no quoted quotes."""
    text = str(error.args[0] if error.args else error).strip()
    if "Traceback" in text:
        text = f"{text.partition(': Error whilst')[0]}: {text.splitlines()[-1]}"
    text = text.replace("\\n", " ").replace("\\'", "'").replace("\n", " ")
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    text = text[1:-1] if quoted else text
    name = text.strip("'\"")
    return f"--config has no value called {name!r}" if name.isidentifier() else text
