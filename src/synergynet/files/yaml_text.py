"""Read YAML that a stranger wrote."""

from typing import Any

import yaml

MAX_BYTES = 64 << 10
"""Of a text; recipes have a tenth of it."""
_MAX_NODES = 10_000


def parsed_yaml(text: str) -> Any:
    """What a YAML text says.

    Raises:
        ValueError: it is none, or one that stands for far more than it writes down.
        RecursionError: nested too deeply.
    """
    if len(text) > MAX_BYTES:
        raise ValueError("too long")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if _nodes(root) > _MAX_NODES:
            raise ValueError("its anchors repeat too much")
        return yaml.safe_load(text)
    except (ValueError, RecursionError):
        raise
    except Exception as error:  # of many kinds: PyYAML checks little of what a tag promises
        raise ValueError(" ".join(str(error).split())[:300]) from error


def _nodes(root: Any) -> float:
    """Nodes of a document as if nothing was shared; infinite where one holds itself."""
    counts: dict[int, float] = {}

    def count(node: Any) -> float:
        if id(node) not in counts:
            counts[id(node)] = float("inf")  # until it is known: found again, it holds itself
            inner = node.value if isinstance(node.value, list) else []
            parts = [
                part for item in inner for part in (item if isinstance(item, tuple) else (item,))
            ]
            counts[id(node)] = 1 + sum(count(part) for part in parts)
        return counts[id(node)]

    return 0 if root is None else count(root)
