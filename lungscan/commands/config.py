"""Defaults of options from the environment and from files: command line > environment > file > the weights' card.

Every option `--some-name` of a `Configurable` command is `LUNGSCAN_SOME_NAME` in the environment and `some-name` in a file,
but for those that belong to one run. Files are TOML: `lungscan.toml` in the working folder, and under it
`$XDG_CONFIG_HOME/lungscan/config.toml` (`~/.config` when unset).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from lungscan.errors import UsageError

ONE_RUN = {"at", "finding", "help", "months", "patient", "prior", "restart", "series", "verbose", "with-identity"}
"""What no environment or file says for all scans to come. That a patient is named is asked for each time."""

RIVALS = {"fp-per-scan": "fp_per_scan", "threshold-nodule": "threshold_nodule"}
"""Two ways to say the nodule threshold, and their parameters: the one that is said nearer to the command line counts."""

STRONGEST_FIRST = ("COMMANDLINE", "ENVIRONMENT", "DEFAULT_MAP", "DEFAULT")
"""Where a value comes from, in the words of click's ParameterSource."""


class Configurable(TyperCommand):
    """A command whose options take defaults from the environment and from files."""

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        for key, option in self.keys().items():
            option.envvar = f"LUNGSCAN_{key.upper().replace('-', '_')}"
            option.show_envvar = False  # `docs/configuration.md` holds the table; the help stays short

    def keys(self) -> dict[str, Any]:
        """The options by the key that stands for them, as on the command line but for the dashes."""
        options = {_key(param): param for param in self.params if param.param_type_name == "option"}
        return {key: option for key, option in options.items() if key not in ONE_RUN}

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Raises UsageError when a file cannot be read, or holds a key or value that no command knows."""
        if extra.get("resilient_parsing"):  # the shell completes a line: nothing is run
            return super().make_context(info_name, args, parent, **extra)
        said = _said(_known(self, parent))
        extra["default_map"] = {option.name: said[key][0] for key, option in self.keys().items() if key in said}
        try:
            context = super().make_context(info_name, args, parent, **extra)
        except typer.BadParameter as error:
            place = _place(error, said)
            if place is None:
                raise
            raise UsageError(f"{place}: {error.message.removeprefix('Value error, ').rstrip('.')}.") from error
        _settle(context)
        return context


def _key(option: Any) -> str:
    return str(option.opts[0]).removeprefix("--")


def files() -> Iterator[Path]:
    """The files that are there, the weaker first."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    for file in (Path(home) / "lungscan" / "config.toml", Path("lungscan.toml")):
        if file.is_file():
            yield file


def _known(command: Configurable, parent: Any) -> dict[str, Any]:
    """The options of all configurable commands: what one has no use for is no mistake in a file that they share."""
    siblings = [] if parent is None else parent.command.commands.values()
    commands = [c for c in siblings if isinstance(c, Configurable)] or [command]
    return {key: option for c in commands for key, option in c.keys().items()}


def _said(known: dict[str, Any]) -> dict[str, tuple[Any, Path]]:
    """What the files say: key to value and file; of two files, the later counts."""
    said: dict[str, tuple[Any, Path]] = {}
    for file in files():
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} is not a configuration in TOML: {error}.") from error
        if RIVALS.keys() & table.keys():
            said = {key: entry for key, entry in said.items() if key not in RIVALS}
        for key, value in table.items():
            if key not in known:
                raise UsageError(f"{file}: unknown key {key!r}; known are {', '.join(sorted(known))}.")
            if isinstance(value, bool) != bool(known[key].is_flag):
                kind = "true or false" if known[key].is_flag else f"a value for --{key}"
                raise UsageError(f"{file}: {key} is {value!r}, not {kind}.")
            said[key] = _value(value, several=known[key].multiple), file
    return said


def _place(error: typer.BadParameter, said: dict[str, tuple[Any, Path]]) -> str | None:
    """Which variable, or which key of which file, gave a value that its option does not take; None when neither did."""
    option: Any = error.param
    source = "" if error.ctx is None or option is None else _source(error.ctx, option.name)
    if source == "ENVIRONMENT":
        return str(option.envvar)
    if source == "DEFAULT_MAP":
        return f"{said[_key(option)][1]}: {_key(option)}"
    return None


def _value(value: Any, *, several: bool) -> Any:
    if several and not isinstance(value, list):
        return [value]
    return str(Path(value).expanduser()) if isinstance(value, str) and value.startswith("~") else value


def _settle(context: Any) -> None:
    """Of two rivals from different places, only the stronger stays."""
    ranks = {name: STRONGEST_FIRST.index(_source(context, name)) for name in RIVALS.values() if name in context.params}
    for name, rank in ranks.items():
        if rank > min(ranks.values()):
            context.params[name] = None


def _source(context: Any, name: str | None) -> str:
    return str(context.get_parameter_source(name).name)
