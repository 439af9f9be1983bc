"""What the site needs besides its pages: the package laid out as installed, and docstrings read as the prose they are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent

ROW = re.compile(r"^(?P<names>[\w*`][\w*`., ]*?) +: (?P<meaning>\S.*)$")
"""A line of a docstring's table: names, then what they hold."""

COMMENT = re.compile(r"  # (?P<text>.+)$")


def on_startup(**_: Any) -> None:
    """Lay the package out in build/reference, kernels and engines inside it: what is read there is never run."""
    package = ROOT / "build" / "reference" / "lungscan"
    shutil.rmtree(package, ignore_errors=True)
    code = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for source, target in (
        (ROOT / "lungscan", package),
        *((ROOT / name, package / name) for name in ("kernels", "engines")),
    ):
        shutil.copytree(source, target, ignore=code)


class Prose(griffe.Extension):
    """Docstrings as Markdown: a table of shapes and units becomes a list, a doctest a code block.

    The fields of a dataclass are listed with the comments beside them.
    """

    def on_instance(self, *, obj: griffe.Object | griffe.Alias, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = "\n".join(_markdown(obj.docstring.value.splitlines()))

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        if any("dataclass" in str(decorator.value) for decorator in cls.decorators):
            said = "Plain fields." if cls.docstring is None else cls.docstring.value
            cls.docstring = griffe.Docstring("\n".join([said, "", *_fields(cls)]), parent=cls)


def _fields(made: griffe.Class) -> Iterator[str]:
    for field in made.attributes.values():
        comment = COMMENT.search(field.source) if "instance-attribute" in field.labels else None
        if comment:
            yield f"- `{field.name}`: {comment['text']}"


def _markdown(lines: list[str]) -> Iterator[str]:
    inside = ""  # what the line before was: a row, a doctest, or neither
    for line in lines:
        row = ROW.match(line)
        if inside == "doctest" and not line.strip():
            inside = ""
            yield "```"
        if row:
            if inside != "row":
                yield ""
            inside = "row"
            names = ", ".join(f"`{name.strip(' `')}`" for name in row["names"].split(","))
            yield f"- {names}: {row['meaning']}"
        elif line.startswith(">>>") and inside != "doctest":
            inside = "doctest"
            yield from ("```pycon", line)
        else:
            if inside == "row" and not line.startswith(" "):
                inside = ""
            yield line
    if inside == "doctest":
        yield "```"
