"""Whether ComfyUI can serve the files of the pack's folder, which depends on the folder's name."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from aiohttp import web
from yarl import URL

_log = logging.getLogger("LumosX")


async def check_folder_name(name: str, web_folder: str) -> None:
    """Log one line when ComfyUI's server or page will not find the files of a pack whose folder has this name.

    Args:
        name: of the pack's folder in ``custom_nodes``.
        web_folder: the folder whose files the server is to hand out.
    """
    # The server lists scripts under the quoted name; the page makes the address of a help page of what stands before
    # the first dot or @.
    address, help_name = quote(name), name.split(".")[0].split("@")[0]
    if not await _is_served(name, web_folder, address):
        lost = "the board, the result view, the help pages and the templates"
    elif help_name != name:
        lost = "the help pages"
    else:
        return
    _log.warning(
        f"LumosX: ComfyUI cannot serve all files of a pack whose folder is called \"{name}\", so {lost} will be "
        "missing; rename the folder in custom_nodes to \"lumosx\" and restart."
    )


async def _is_served(name: str, web_folder: str, address: str) -> bool:
    """Whether a static route made as ComfyUI makes it answers for an address; aiohttp itself says so."""
    request: Any = SimpleNamespace(method="GET", rel_url=URL(f"/extensions/{address}/lumosx.js", encoded=True))
    found, _ = await web.StaticResource(f"/extensions/{name}", web_folder).resolve(request)
    return found is not None
