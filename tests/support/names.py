"""What a file of Python asks of ComfyUI: names of its modules, attributes of its objects, and how it calls them."""

import ast
import importlib
import inspect
import re
from dataclasses import dataclass

ROOTS = {
    "comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfyui_version", "folder_paths", "latent_preview",
    "node_helpers", "nodes", "server",
}


@dataclass(frozen=True)
class Use:
    """A name, where it stands, and the call of it if it is called there."""

    name: str
    line: int
    call: ast.Call | None = None


def may_touch(source):
    """Whether a file imports something that begins like one of ROOTS; without that, module_names finds nothing."""
    return re.search(rf"\b(import|from)\s+({'|'.join(ROOTS)})\b", source) is not None


def module_names(source):
    """The dotted names below ROOTS that a file imports or reaches from what it imports."""
    tree = ast.parse(source)
    bound, uses = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                # `import a.b` binds a; `import a.b as c` binds c to a.b.
                bound[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
                uses.append(Use(one.name, node.lineno))
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for one in node.names:
                bound[one.asname or one.name] = f"{node.module}.{one.name}"
                uses.append(Use(f"{node.module}.{one.name}", node.lineno))
    for use in _chains(tree):
        first, dot, rest = use.name.partition(".")
        if first in bound:
            uses.append(Use(bound[first] + dot + rest, use.line, use.call))
    return [use for use in uses if use.name.partition(".")[0] in ROOTS]


def attributes_of(source, receiver):
    """What a file reads or calls of a receiver, e.g. "model" or "guider.model_patcher"; not what it only sets."""
    start = f"{receiver}."
    return [Use(use.name.removeprefix(start), use.line, use.call) for use in _chains(ast.parse(source))
            if use.name.startswith(start)]


def _chains(tree):
    """Every dotted chain of names, as long as it goes, that is not assigned to."""
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load) and id(node) not in inner:
            name = _dotted(node)
            if name:
                yield Use(name, node.lineno, calls.get(id(node)))


def _dotted(node):
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return node.id if isinstance(node, ast.Name) else None


def asked_for(source):
    """The names that a file asks for by hasattr or getattr: it knows that they may be missing."""
    return {
        node.args[1].value for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr")
        and isinstance(node.args[1], ast.Constant)
    }


def resolve(name):
    """What a dotted name stands for on this host; raises ImportError or AttributeError."""
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if not hasattr(found, part) and inspect.ismodule(found):
            importlib.import_module(".".join(parts[:number]))
        found = getattr(found, part)
    return found


def misfit(target, call):
    """Why a call does not fit what it calls; None if it does, or if that cannot be told."""
    try:
        signature = inspect.signature(target)
    except ValueError:
        return None
    positional = [one for one in call.args if not isinstance(one, ast.Starred)]
    named = {one.arg: one for one in call.keywords if one.arg is not None}
    # What a star stands for is not known here, so only what is written out is tried.
    open_ended = len(positional) < len(call.args) or len(named) < len(call.keywords)
    try:
        (signature.bind_partial if open_ended else signature.bind)(*positional, **named)
    except TypeError as error:
        return str(error)
    return None
