"""The pack in folders of other names, on a real server: what cannot be served is said in one line."""

import json
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest

from tools.server import ComfyServer

NAMES = (
    "lumosx", "ComfyUI-LumosX", "lumosx(1)", "lumosx+2",
    "my lumosx (1)", "lumosx[1]", "lumösx", "100% lumosx", "a%20b", "lumosx#3",
    "lumosx-1.0", "pack@2",
)
pytestmark = pytest.mark.server
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def renamed(comfyui_dir):
    """A server with one copy of the pack under each name, and the lines of its log that name one."""
    with ComfyServer(comfyui_dir, names=NAMES) as running:
        yield running


def get(server, path):
    """The status of an address, as a browser writes it."""
    try:
        with _opener.open(server.url + path, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def warnings(server, name):
    return [line for line in server.log_text().splitlines() if f'folder is called "{name}"' in line]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_is_logged_exactly_when_something_is_missing(renamed, name):
    with _opener.open(renamed.url + "/extensions", timeout=30) as answer:
        scripts = [each for each in json.load(answer) if each.startswith(f"/extensions/{quote(name)}/")]
    assert f"/extensions/{quote(name)}/lumosx.js" in scripts
    page = {get(renamed, script) for script in scripts}
    # The page takes the pack from the name of a node's module, and writes it into the address as it is.
    pack = f"custom_nodes.{name}".split(".")[1].split("@")[0]
    help_page = get(renamed, f"/extensions/{quote(pack, safe='%#+()~')}/docs/LumosX_Subject.md")
    said = warnings(renamed, name)
    assert page in ({200}, {404})
    assert len(said) == (page != {200} or help_page != 200), (page, help_page)
    for line in said:
        assert 'rename the folder in custom_nodes to "lumosx"' in line
        assert ("board" in line) == (page != {200})
