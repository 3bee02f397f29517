"""People that are kept on the board: shown, put in place of somebody, and kept."""

import shutil

import pytest
import torch

from browser.boards import build, row, settled
from lumosx_core.people import Person, write_person_folder
from lumosx_core.scene.relations import Kind, Reference, Subject


@pytest.fixture
def kept(server):
    """The folder of people, with Tom and his coat and full body in it."""
    folder = server.base / "models" / "lumosx" / "people"

    def picture(red):
        return torch.full((1, 8, 8, 3), red / 4)

    write_person_folder(Person(Subject(
        Reference(Kind.FACE, "tall man", picture(1)), (Reference(Kind.ATTRIBUTE, "long coat", picture(2)),),
        Reference(Kind.OBJECT, "tall man", picture(3), full_body=True),
    )), folder / "Tom")
    yield folder
    shutil.rmtree(folder)


def menu_of(comfy, element):
    """The entries of the menu that opens on an element."""
    element.click()
    comfy.page.get_by_role("menuitem").first.wait_for()
    return comfy.page.get_by_role("menuitem").all_inner_texts()


def fields(element):
    return [field.input_value() for field in element.locator(".lumosx-field").all()]


def inputs_of(comfy, kind):
    """The inputs of the nodes of a kind in the prompt that the page sends."""
    return [node["inputs"] for node in comfy.prompt().values() if node["class_type"] == kind]


def test_somebody_is_replaced_by_a_person_who_is_kept_and_undo_takes_it_back(comfy, kept):
    board = build(comfy)
    # The host counts steps of undo from the moment a workflow was opened.
    comfy.load(comfy.workflow())
    settled(comfy)
    assert "Replace by …" in menu_of(comfy, row(board, 1).locator(".lumosx-thumb-face"))
    comfy.page.get_by_role("menuitem", name="Replace by").click()
    tom = comfy.page.get_by_role("menuitem", name="Tom")
    tom.wait_for()
    comfy.page.wait_for_function(
        "() => [...document.querySelectorAll('.lumosx-menu img')].every((one) => one.naturalWidth === 128)"
    )
    tom.click()
    settled(comfy)
    # His face goes by the words of the prompt; the coat has other words, which are not in it.
    assert fields(row(board, 1)) == ["man on the left", "long coat"]
    assert row(board, 2).locator(".lumosx-field").first.input_value() == "woman with red hair"
    [loaded], [binder] = inputs_of(comfy, "LumosX_LoadPerson"), inputs_of(comfy, "LumosX_Binder")
    assert (loaded["person"], loaded["phrase"], loaded["occurrence"]) == ("Tom", "man on the left", 0)
    assert comfy.prompt()[binder["subject_1"][0]]["class_type"] == "LumosX_LoadPerson"
    images = board.locator(".lumosx-thumb img").all()
    assert sum("lumosx/person/picture" in (image.get_attribute("src") or "") for image in images) == 3
    comfy.page.keyboard.press("Control+z")
    comfy.page.wait_for_function("() => !app.graph.nodes.some(({ type }) => type === 'LumosX_LoadPerson')")
    settled(comfy)
    [binder] = inputs_of(comfy, "LumosX_Binder")
    assert comfy.prompt()[binder["subject_1"][0]]["class_type"] == "LumosX_Subject"
    assert fields(row(board, 1))[0] == "man on the left"
    assert comfy.errors == []


def test_a_kept_person_is_replaced_by_another_in_the_same_node(comfy, kept):
    shutil.copytree(kept / "Tom", kept / "Ann")
    board = build(comfy)
    for name in ("Tom", "Ann"):
        menu_of(comfy, row(board, 1).locator(".lumosx-thumb-face"))
        comfy.page.get_by_role("menuitem", name="Replace by").click()
        comfy.page.get_by_role("menuitem", name=name).click()
        settled(comfy)
    [loaded] = inputs_of(comfy, "LumosX_LoadPerson")
    assert (loaded["person"], loaded["phrase"]) == ("Ann", "man on the left")
    assert comfy.errors == []


def test_somebody_is_kept_with_the_next_run(comfy, kept):
    board = build(comfy)
    for _ in range(2):
        assert "Save as person …" in menu_of(comfy, row(board, 2).locator(".lumosx-thumb-face"))
        comfy.page.get_by_role("menuitem", name="Save as person").click()
        settled(comfy)
    # The second time there is one already.
    [saver] = inputs_of(comfy, "LumosX_SavePerson")
    assert saver["name"] == "woman with red hair"
    assert comfy.prompt()[saver["subject"][0]]["inputs"]["phrase"] == "woman with red hair"
    assert "saves this person as “woman with red hair”" in board.locator(".lumosx-notes").inner_text()
    assert comfy.errors == []


def test_nobody_kept_is_said(comfy, kept):
    shutil.rmtree(kept / "Tom")
    board = build(comfy)
    menu_of(comfy, row(board, 1).locator(".lumosx-thumb-face"))
    comfy.page.get_by_role("menuitem", name="Replace by").click()
    board.get_by_text("Nobody is kept yet").wait_for()
    assert comfy.errors == []
