from lumosx_core.cases import load_case
from lumosx_core.tiny.world.cast import PALETTE, colour_name
from tools import similar_case
from tools.demo import DEMOS, Options, _with_case

WORKFLOW = DEMOS["lumosx"].workflow


def test_two_people_wear_the_same_kinds_under_the_same_hair_and_the_prompt_names_no_colour(tmp_path):
    case = load_case(similar_case.write_similar_case(tmp_path / "case"))
    first, second = case.scene.subjects
    assert [one.phrase for one in first.attributes] == [one.phrase for one in second.attributes] == ["jacket", "hat"]
    assert [one.occurrence for one in (*first.attributes, *second.attributes)] == [1, 1, 2, 2]
    assert not {colour_name(colour) for colour in PALETTE} & set(case.prompt.replace(",", "").split())
    faces = [person.face for person in similar_case.CAST.people]
    assert faces[0].hair == faces[1].hair and faces[0].hair_style == faces[1].hair_style


def test_the_demo_takes_it_where_no_case_is_named_and_the_workflow_is_its_own(tmp_path):
    mine = Options(tmp_path / "a.mp4", tmp_path / "mine", None, None, None, WORKFLOW)
    assert _with_case(mine, tmp_path) is mine
    own = Options(tmp_path / "a.mp4", None, None, None, None, tmp_path / "other.json")
    assert _with_case(own, tmp_path) is own
    default = _with_case(Options(tmp_path / "a.mp4", None, None, None, None, WORKFLOW), tmp_path)
    assert load_case(default.case).prompt == similar_case.SCRIPT.prompt


def test_the_same_people_are_whole_figures_for_polyvivid(tmp_path):
    case = load_case(similar_case.write_whole_case(tmp_path / "case"))
    assert [one.face.phrase for one in case.scene.subjects] == ["woman on the left", "woman on the right"]
    assert not any(one.attributes for one in case.scene.subjects) and case.scene.non_human == ()
    assert not {colour_name(colour) for colour in PALETTE} & set(case.prompt.replace(",", "").split())
