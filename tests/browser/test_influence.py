"""The sliders for strength and steps on the board's menu, and that they go with a picture that moves."""

from browser.boards import build, chip, drag, settled, widget


def test_a_slider_of_the_menu_sets_the_widget_and_a_swap_takes_it_along(classic):
    board = build(classic)
    chip(board, "white jacket").locator(".lumosx-thumb").click()
    classic.page.get_by_role("menuitem", name="Strength and steps …").click()
    panel = classic.page.locator(".lumosx-influence")
    assert panel.locator("input").evaluate_all("fields => fields.map(({ name, value }) => [name, value])") == [
        ["attribute_1_strength", "1"], ["attribute_1_start_percent", "0"], ["attribute_1_end_percent", "1"],
    ]
    panel.locator("input[name=attribute_1_strength]").fill("0.5")
    panel.locator("input[name=attribute_1_end_percent]").fill("0.6")
    classic.page.keyboard.press("Escape")
    assert panel.count() == 0
    assert [widget(classic, 0, f"attribute_1_{name}") for name in ("strength", "start_percent", "end_percent")] == [
        0.5, 0, 0.6
    ]
    drag(classic, chip(board, "white jacket").locator(".lumosx-thumb"), chip(board, "green dress"))
    settled(classic)
    assert [widget(classic, index, "attribute_1_strength") for index in (0, 1)] == [1, 0.5]
    assert [widget(classic, index, "attribute_1_end_percent") for index in (0, 1)] == [1, 0.6]
    assert classic.errors == []
