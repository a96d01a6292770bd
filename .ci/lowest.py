"""The lower bounds of pyproject.toml as a constraints file for pip: ``name==bound`` per line.

    python3 .ci/lowest.py [EXTRA ...] > constraints.txt

Without extras, those of the base install; with ``all``, those of every extra. What the
dependencies themselves bring along stays free: pip takes the newest that fits.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

REPO = Path(__file__).resolve().parents[1]
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<bound>[\w.]+)(,<[\w.]+)?")


def extras() -> list[str]:
    """Names of all extras."""
    return list(_project()["optional-dependencies"])


def bounds(*wanted: str) -> dict[str, str]:
    """Package -> lower bound, of the base install and of the extras ``wanted``.

    Exits where a requirement has none, or two extras say different ones.
    """
    project = _project()
    lists = [project["dependencies"], *(project["optional-dependencies"][name] for name in wanted)]
    found: dict[str, str] = {}
    for requirement in (line for each in lists for line in each):
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            sys.exit(
                f"error: pyproject.toml: '{requirement}' is not NAME>=BOUND or NAME>=BOUND,<END"
            )
        if found.setdefault(match["name"], match["bound"]) != match["bound"]:
            sys.exit(f"error: pyproject.toml: {match['name']} has two lower bounds")
    return found


def _project() -> dict:
    return tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]


if __name__ == "__main__":
    asked = extras() if sys.argv[1:] == ["all"] else sys.argv[1:]
    if unknown := set(asked) - set(extras()):
        sys.exit(f"error: no such extra: {', '.join(sorted(unknown))}")
    for name, bound in bounds(*asked).items():
        print(f"{name}=={bound}")
