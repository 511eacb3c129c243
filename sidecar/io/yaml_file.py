"""One YAML file of bounded size as a tree: read from a regular file, without a key given twice, and never for ever."""

from __future__ import annotations

from typing import Any

import yaml

from .regular_file import read_regular

MAX_FILE = 1 << 20
MAX_NODES = 20_000
"""Values, keys and containers as written: a second's work for the parser."""
MAX_EXPANDED = 100_000
"""The same after every alias has been replaced by what it stands for."""


class BadYaml(ValueError):
    """What is wrong, and what was expected."""

    def __init__(self, problem: str, expected: str = "valid YAML") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected


def load_file(file: str) -> Any:
    """The tree, None for an empty file. Raises `FileNotFoundError` and `BadYaml`."""
    try:
        text = read_regular(file, MAX_FILE).decode("utf-8")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError:
        raise BadYaml("cannot be read (not UTF-8)", "a YAML file") from None
    except OSError as error:
        raise BadYaml(f"cannot be read ({error.strerror or error})", "a YAML file") from None
    try:
        return yaml.load(text, _Bounded)  # noqa: S506 - a SafeLoader
    except RecursionError:
        raise BadYaml("nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadYaml(f"{where}{getattr(error, 'problem', error)}") from None
    except BadYaml:
        raise
    except ValueError as error:  # a date that does not exist
        raise BadYaml(f"a value cannot be read: {error}") from None


class _Bounded(yaml.SafeLoader):
    """YAML that refuses a key given twice (the usual parser keeps the last in silence) and what would not end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise BadYaml(f"more than {MAX_NODES} values", "a smaller file")
        return super().compose_node(parent, index)

    def construct_document(self, node: yaml.Node) -> Any:
        if _expanded(node, {}) > MAX_EXPANDED:
            raise BadYaml(f"its aliases stand for more than {MAX_EXPANDED} values", "a smaller file")
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                problem = f'key "{key_node.value}" given twice (first in line {seen[key_node.value]})'
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen[key_node.value] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many nodes a tree has when each alias is counted as all that it stands for."""
    known = sizes.get(id(node))
    if known is not None:
        if not known:
            raise BadYaml("an alias holds itself")
        return known
    sizes[id(node)] = 0
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    sizes[id(node)] = size = 1 + sum(_expanded(part, sizes) for part in below)
    return size
