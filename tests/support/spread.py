"""How the tests are spread over several processes."""

import re


def unit(nodeid: str) -> str:
    """The name of what runs in one process, one test after the other: a file, or the tests in one kind of pages.

    In the browser, tests with Vue nodes are one unit and all others another, whatever their files. So each kind of page
    is opened in one process only, and while these two wait for their pages, the other processes use the cores.
    """
    file, _, test = nodeid.partition("::")
    if not file.startswith("tests/browser/"):
        return file
    kind = "vue" if "vue" in re.split(r"[\[\]-]", test) else "classic"
    return f"tests/browser with {kind} nodes"
