"""Pictures that are pasted where the pointer is, and by the menu of the other mouse button, in both kinds of nodes."""

import base64

import pytest

from browser.boards import build, hand_over, own_pictures, row, settled, start

# As a user copies a picture in another program.
_COPY = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })]);
}"""


@pytest.fixture
def own(tmp_path):
    return own_pictures(tmp_path)


@pytest.fixture
def copy(own):
    """copy(comfy, number) puts a picture of the user's own onto the clipboard."""
    def put(comfy, number):
        comfy.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        comfy.run(_COPY, base64.b64encode(own[number].read_bytes()).decode())

    return put


def paste_on(comfy, element):
    """Press Ctrl+V with nothing but the pointer on an element."""
    comfy.run("() => document.activeElement?.blur()")
    element.hover()
    with comfy.page.expect_response("**/upload/image"):
        comfy.page.keyboard.press("Control+v")
    comfy.page.wait_for_function("() => !document.querySelector('.lumosx-board').innerText.includes('Uploading')")
    settled(comfy)


def count(comfy, kind):
    return comfy.run("(kind) => app.graph.nodes.filter(({ type }) => type === kind).length", kind)


def test_whatever_is_empty_takes_what_is_pasted_where_the_pointer_is(comfy, copy):
    board = start(comfy)
    person, thing, background = board.locator(".lumosx-add").all()
    copy(comfy, 0)
    for made, (kind, button) in enumerate((("Subject", person), ("Object", thing), ("Background", background)), 1):
        paste_on(comfy, button)
        assert (count(comfy, f"LumosX_{kind}"), count(comfy, "LoadImage")) == (1, made)
    # An empty thumbnail, while the words of the new person have the focus.
    person.click()
    settled(comfy)
    copy(comfy, 1)
    face = row(board, 2).locator(".lumosx-thumb-face")
    assert face.evaluate("(element) => element.classList.contains('lumosx-vacant')")
    face.hover()
    with comfy.page.expect_response("**/upload/image"):
        comfy.page.keyboard.press("Control+v")
    row(board, 2).locator(".lumosx-thumb-face:not(.lumosx-vacant) img").wait_for()
    paste_on(comfy, row(board, 2).locator(".lumosx-plus"))
    row(board, 2).locator(".lumosx-chip").wait_for()
    # What the host would have made of a picture is one node beside all of these.
    assert count(comfy, "LoadImage") == 5
    assert comfy.errors == []


def test_the_other_mouse_button_offers_to_paste(comfy, copy):
    board = start(comfy)
    copy(comfy, 0)
    board.locator(".lumosx-add").first.click(button="right")
    with comfy.page.expect_response("**/upload/image"):
        comfy.page.get_by_role("menuitem", name="Paste picture").click()
    row(board, 1).locator(".lumosx-thumb-face img:visible").wait_for()
    assert count(comfy, "LumosX_Subject") == 1
    board.locator(".lumosx-add").nth(1).click()
    settled(comfy)
    copy(comfy, 1)
    board.locator(".lumosx-things .lumosx-thumb").click(button="right")
    with comfy.page.expect_response("**/upload/image"):
        comfy.page.get_by_role("menuitem", name="Paste picture").click()
    board.locator(".lumosx-things .lumosx-thumb img:visible").wait_for()
    assert count(comfy, "LoadImage") == 2
    comfy.run("async () => navigator.clipboard.writeText('words')")
    board.locator(".lumosx-things .lumosx-thumb").click(button="right")
    comfy.page.get_by_role("menuitem", name="Paste picture").click()
    board.locator(".lumosx-note", has_text="no picture on the clipboard").wait_for()
    assert comfy.errors == []


def test_beside_the_board_and_in_text_the_clipboard_is_the_hosts(classic, own):
    board = build(classic)
    face = row(board, 1).locator(".lumosx-thumb-face")
    face.hover()
    classic.page.mouse.move(5, 500)
    hand_over(classic, "paste", classic.page.locator("body"), own[0])
    # With text on the clipboard, a field that has the focus gets it.
    face.hover()
    taken = row(board, 1).locator(".lumosx-field").first.evaluate("""(field) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(['x'], 'x.png', { type: 'image/png' }));
      transfer.setData('text/plain', 'man');
      const event = new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: transfer });
      return !field.dispatchEvent(event);
    }""")
    assert not taken
    classic.page.wait_for_timeout(1000)
    settled(classic)
    assert "ben.png" in face.locator("img").get_attribute("src")
