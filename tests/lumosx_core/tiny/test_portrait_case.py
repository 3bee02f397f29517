import numpy as np
from PIL import Image

from lumosx_core.faces.centerface import CenterFace
from lumosx_core.tiny.demo_case import write_demo_case
from lumosx_core.tiny.portrait_case import write_portrait_case


def test_a_detector_finds_the_face_of_each_person_and_the_rest_is_the_demo_case(tmp_path):
    case, demo = write_portrait_case(tmp_path / "new"), write_demo_case(tmp_path / "demo")
    names = [path.relative_to(case) for path in sorted(case.rglob("*.png"))]
    assert names == [path.relative_to(demo) for path in sorted(demo.rglob("*.png"))]
    changed = [name for name in names if (case / name).read_bytes() != (demo / name).read_bytes()]
    assert [name.name for name in changed] == ["face_man on the left.png", "face_woman on the right.png"]
    for name in changed:
        with Image.open(case / name) as picture:
            assert picture.mode == "RGB"
            [face] = CenterFace().detect(np.asarray(picture))
        assert face.score > 0.58 and face.width >= 64
    assert (case / "caption.txt").read_text(encoding="utf-8").split(";") == [
        "portraits", (demo / "caption.txt").read_text(encoding="utf-8").partition(";")[2],
    ]
