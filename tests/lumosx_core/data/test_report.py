"""The page: whole, escaped, without anything from elsewhere."""

import json
import re

from PIL import Image

from lumosx_core.data.build import FAILED, MADE, REJECTED, Outcome
from lumosx_core.data.report import MOST_SHEETS, write_report

EVIL = "<script>alert('&')</script>\u202e"


def test_yield_reasons_and_sheets(tmp_path):
    folder = tmp_path / "work" / "film" / "0001"
    folder.mkdir(parents=True)
    Image.new("RGB", (20, 10), "red").save(folder / "sheet.jpg")
    (folder / "caption.json").write_text(json.dumps({"result": {"caption": EVIL}}))
    page = write_report(tmp_path, [
        Outcome("a", "a.mp4", MADE, notes=(EVIL,), sheet=folder / "sheet.jpg"),
        *(Outcome(f"b{number}", EVIL, REJECTED, "no people", EVIL) for number in range(2)),
        Outcome(EVIL, "c.mp4", FAILED, EVIL, EVIL),
    ]).read_text(encoding="utf-8")
    assert "4 clips: 1 became cases (25%), 2 were rejected, 1 failed" in page
    assert "<td>2</td><td>rejected</td><td>no people</td>" in page and page.count("data:image/jpeg;base64,") == 1
    assert "<script" not in page and "\u202e" not in page and page.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)") == 8
    assert "default-src 'none'" in page and not re.search(r"https?:|src=\"(?!data:)|url\(", page)


def test_an_empty_run_and_a_long_one(tmp_path):
    assert "0 clips: 0 became cases, 0 were" in write_report(tmp_path, []).read_text()
    many = [Outcome(f"a{number}", "a.mp4", MADE) for number in range(MOST_SHEETS + 3)]
    page = write_report(tmp_path, many).read_text()
    assert page.count("<article>") == MOST_SHEETS and "And 3 more cases" in page
