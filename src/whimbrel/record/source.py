"""A function's own text: its syntax tree without what does not matter, its bytecode, the globals that it reads.

Only `fingerprint.py` may call. Trees are written by a dumper of our own, for `ast.dump` changes with Python's versions.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_IGNORED = frozenset(("decorator_list", "returns", "annotation", "type_comment", "kind", "ctx", "type_params"))
_BODIES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def top(value: Any) -> str:
    """The top-level module that a function comes from; empty for anything else."""
    while type(value) is functools.partial:
        value = value.func
    return str(value.__module__ or "").partition(".")[0] if type(value) in (FunctionType, MethodType) else ""


def tree(function: FunctionType) -> bytes | None:
    """The function's syntax tree as bytes: no names of its own, comments, docstrings, annotations or decorators."""
    try:
        node = _node(function)
    except (SyntaxError, ValueError, IndexError, RecursionError):
        return None
    if node is None:
        return None
    parts: list[str] = []
    _dump(node, parts, root=True)
    return "\n".join(parts).encode("utf-8", "surrogatepass")


def bytecode(code: CodeType) -> bytes:
    """What there is where there is no source: instructions, names and constants, for this version of Python."""
    parts = [repr((sys.version_info[:2], code.co_code, code.co_names, code.co_varnames, code.co_freevars)).encode()]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(bytecode(constant))
        else:
            parts.append(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode())
    return b"\0".join(parts)


def reads(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function reads, by name, with `module.name` followed to what it names; builtins left out."""
    for path in sorted(set(_loads(function.__code__))):
        name, *rest = path
        if name not in function.__globals__:
            continue
        found = function.__globals__[name]
        while rest and isinstance(found, ModuleType) and rest[0] in vars(found):
            name, found = f"{name}.{rest[0]}", vars(found)[rest.pop(0)]
        yield name, found


def _loads(code: CodeType) -> Iterator[tuple[str, ...]]:
    path: list[str] = []
    for step in dis.get_instructions(code):
        if path and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            path.append(step.argval)
            continue
        if path:
            yield tuple(path)
        path = [step.argval] if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") else []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _loads(constant)


def _node(function: FunctionType) -> ast.AST | None:
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        return None
    if code.co_name == "<lambda>":
        return _lambda(code, lines)
    block = inspect.getblock(lines[code.co_firstlineno - 1 :])
    text = "".join(block)
    module = ast.parse("if 1:\n" + text if text[:1].isspace() else text)
    named = (node for node in ast.walk(module) if isinstance(node, _BODIES) and node.name == code.co_name)
    return next(named, None)


def _lambda(code: CodeType, lines: list[str]) -> ast.AST | None:
    """The lambda whose body holds the code's instructions: several may stand in one line."""
    places = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None]
    for node in ast.walk(_file("".join(lines))):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            body = node.body
            end = (body.end_lineno or body.lineno, body.end_col_offset or 0)
            inside = [place for place in places if (body.lineno, body.col_offset) <= place <= end]
            if inside and len(inside) >= len(places) - 1:  # the first instruction stands before the body
                return node
    return None


@functools.lru_cache(maxsize=8)
def _file(text: str) -> ast.AST:
    return ast.parse(text)


def _dump(node: ast.AST, parts: list[str], *, root: bool = False) -> None:
    if isinstance(node, ast.AnnAssign):
        if node.value is None:
            return
        node = ast.Assign(targets=[node.target], value=node.value)
    parts.append(f"({type(node).__name__}")
    for field, value in ast.iter_fields(node):
        if field in _IGNORED or (value is None and not isinstance(node, ast.Constant)) or (root and field == "name"):
            continue
        if isinstance(value, list):
            items = value[1:] if field == "body" and isinstance(node, _BODIES) and _says(value) else value
            if items:
                parts.append(f"{field}[")
                for item in items:
                    _dump(item, parts) if isinstance(item, ast.AST) else parts.append(repr(item))
                parts.append("]")
        elif isinstance(value, ast.AST):
            parts.append(field)
            _dump(value, parts)
        else:
            parts.append(f"{field}={type(value).__name__}:{value!r}")
    parts.append(")")


def _says(body: list[Any]) -> bool:
    """Whether a body begins with a docstring."""
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
