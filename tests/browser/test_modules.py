"""What single modules of the page make of what they are given, asked in the page itself."""

import pytest


@pytest.fixture
def call(classic):
    """call(module, code, argument): what a function's body makes of the module's exports and an argument."""
    def run(module, code, argument=None):
        return classic.run(
            f"async (given) => {{ const module = await import('/extensions/lumosx/{module}'); {code} }}", argument
        )

    return run


def reference(phrase, kind="attribute", **values):
    return {"kind": kind, "phrase": phrase, "occurrence": 0, "shown": True, "known": True, **values}


def mark(start, end, badge):
    return {"start": start, "end": end, "badge": badge, "hue": f"hue-{badge}", "title": badge}


def test_words_of_several_references_show_each_badge_once_and_every_colour(call):
    text = "A man in a white jacket waves."
    marks = [mark(2, 23, "1"), mark(11, 23, "1a"), mark(17, 23, "1b")]
    pieces, badges, shared = call("board/prompt.js", """
      const marks = document.createElement('div'), field = document.createElement('textarea');
      module.drawPrompt({ marks, field }, { text: given.text, holder: {} }, given.marks, 'none');
      const texts = (name) => [...marks.querySelectorAll(name)].map((each) => each.textContent);
      return [
        module.piecesOf(given.text, given.marks).map(({ text, marks }) => [text, marks.map(({ badge }) => badge)]),
        texts('.lumosx-badge'), texts('.lumosx-shared'),
      ];
    """, {"text": text, "marks": marks})
    assert pieces == [
        ["A ", []], ["man in a ", ["1"]], ["white ", ["1", "1a"]], ["jacket", ["1", "1a", "1b"]], [" waves.", []],
    ]
    assert badges == ["1", "1a", "1b"] and shared == ["1awhite ", "1bjacket"]


def test_marks_beyond_the_text_are_left_out(call):
    """The prompt may have become shorter since it was asked about."""
    marks = [mark(0, 3, "whole"), mark(1, 4, "beyond"), mark(-1, 2, "before"), mark(2, 2, "empty"), mark(2, 1, "back")]
    pieces = call("board/prompt.js", "return module.piecesOf('hat', given).map(({ marks }) => marks);", marks)
    assert [[each["badge"] for each in piece] for piece in pieces] == [["whole"]]


def person(*references, partial=False, **values):
    return {"id": "7", "node": None, "partial": partial, "references": list(references), **values}


def after_last_run(call, people, told, unseen, objects=(), told_objects=()):
    """The phrases of each person and of the objects once the last run has been added."""
    scene = {
        "people": people, "objects": list(objects), "background": None,
        "unseen": [{"place": place} for place in unseen],
    }
    binding = {"people": [{"references": each} for each in told], "objects": list(told_objects), "background": None}
    return call("board/lastrun.js", """
      module.addLastRun(given.scene, given.binding, (told, id) => ({ ...told, id }));
      const phrases = (references) => references.map(({ phrase }) => phrase);
      return [given.scene.people.map((each) => phrases(each.references)), phrases(given.scene.objects)];
    """, {"scene": scene, "binding": binding})


FACE, HAT, LAMP = reference("man", "face"), reference("hat"), reference("lamp", "object")


def test_a_row_that_can_be_read_keeps_nothing_of_an_older_run(call):
    """The hat was taken away after the run; what cannot be read is somewhere else."""
    for place in ("object", "subject", "background", "scene"):
        assert after_last_run(call, [person(FACE)], [[FACE, HAT]], [place]) == [[["man"]], []]
    assert after_last_run(call, [person(FACE, partial=True)], [[FACE, HAT]], ["attribute"]) == [[["man", "hat"]], []]


def test_only_what_is_missing_at_its_place_is_taken_from_the_last_run(call):
    woman = reference("woman", "face")
    assert after_last_run(call, [person(FACE)], [[FACE], [woman]], ["subject"]) == [[["man"], ["woman"]], []]
    assert after_last_run(call, [person(FACE)], [[FACE], [woman]], ["object"]) == [[["man"]], []]
    assert after_last_run(call, [person(FACE)], [[FACE]], ["object"], told_objects=[LAMP]) == [[["man"]], ["lamp"]]
    assert after_last_run(call, [person(FACE)], [[FACE]], ["attribute"], told_objects=[LAMP]) == [[["man"]], []]
    assert after_last_run(call, [person(woman)], [[FACE]], ["subject"]) == [[["woman"]], []]
    assert after_last_run(call, [person(FACE)], [[FACE, HAT]], []) == [[["man"]], []]


def test_a_run_whose_words_have_no_places_checks_nothing(call):
    def checked(ranges, prompt="a man"):
        people = [person({**FACE, "id": "1:face", "person": 0, "full_body": False})]
        scene = {
            "people": people, "objects": [], "background": None, "prompt": {"chosen": {"id": 5}, "text": "a man"},
        }
        result = {"prompt": prompt, "references": [{**FACE, "person": 0, "full_body": False, "ranges": ranges}]}
        return call("board/verdict.js", """
          const host = { app: { nodeOutputs: { 5: { lumosx_encoding: [given.result] } } } };
          const checked = module.checkedBy(given.scene, host);
          return checked && [...checked.ranges];
        """, {"scene": scene, "result": result})

    assert checked([[2, 5]]) == [["1:face", [[2, 5]]]]
    assert checked(None) is None and checked([[2, 5]], "a boy") is None


def test_what_is_said_of_a_person_stands_at_its_row_and_counts_once(call):
    found = [
        {"level": "warning", "code": "no_face", "references": [], "people": [0], "values": {}},
        {"level": "error", "code": "too_long", "references": [], "people": [], "values": {"count": 600}},
    ]
    dressed = person({**HAT, "id": "hat", "person": 0}, body=False)
    scene = {"people": [dressed], "objects": [], "background": None, "twoBackgrounds": False}
    by_id, board, errors, warnings = call("board/problems.js", """
      const { byId, board, errors, warnings } = module.problemsOf(given.scene, given.found);
      const texts = (problems) => problems.map(({ level, text }) => [level, text]);
      return [[...byId].map(([id, problems]) => [id, texts(problems)]), texts(board), errors, warnings];
    """, {"scene": scene, "found": found})
    assert by_id == [["7", [["warning", "No face picture; the video invents the face."]]]]
    assert [level for level, _ in board] == ["error"] and "600" in board[0][1] and (errors, warnings) == (1, 1)


EXCHANGED = """
  const { attributeSlot } = await import('/extensions/lumosx/board/scene.js');
  const graph = app.graph, add = (type) => { const node = LiteGraph.createNode(type); graph.add(node); return node; };
  const [one, other] = [add('LumosX_Subject'), add('LumosX_Subject')];
  const index = (number) => one.inputs.findIndex(({ name }) => name === `attribute_${number}`);
  const picture = add('LoadImage'), reroutes = () => [...graph.reroutes.keys()];
  const link = picture.connect(0, one, index(1));
  graph.createReroute([10, 10], link);
  const before = [String(link.parentId), reroutes().length];
  const places = [{ node: one, slot: attributeSlot(1) }, { node: other, slot: attributeSlot(given) }];
  module.exchange(...places, { app });
  const moved = other.getInputLink(index(given));
  const after = [String(moved.parentId), reroutes().length];
  module.exchange(...places, { app });
  const back = one.getInputLink(index(1));
  return { before, after, back: [String(back.parentId), reroutes().length], from: [moved.origin_id, back.origin_id],
    picture: picture.id, left: [one.getInputLink(index(1)) !== null, other.getInputLink(index(given)) !== null] };
"""


@pytest.mark.parametrize("number", [1, 3])
def test_a_link_keeps_its_reroute_wherever_it_is_moved(call, number):
    found = call("board/rebind.js", EXCHANGED, number)
    assert found["before"] == found["after"] == found["back"] and found["before"][1] == 1
    assert found["from"] == [found["picture"]] * 2 and found["left"] == [True, False]


@pytest.mark.parametrize(("references", "told", "pairs", "left"), [
    (["hat", "coat"], ["coat", "hat"], [["hat", 1], ["coat", 0]], []),
    (["hat"], ["hat", "hat"], [["hat", 0]], [1]),
    (["hat", "hat"], ["hat"], None, None),
    # What the page cannot read takes what the others leave, wherever it stands.
    ([None, "hat"], ["hat", "coat"], [["hat", 0], [None, 1]], []),
    (["Hat"], ["hat"], None, None),
    (["red  hat "], ["red hat"], [["red  hat ", 0]], []),
])
def test_references_are_paired_by_their_words(call, references, told, pairs, left):
    given = {
        "references": [reference(words or "", known=words is not None) for words in references],
        "told": [{**reference(words), "place": place} for place, words in enumerate(told)],
    }
    found = call("board/pairs.js", """
      const found = module.pairUp(given.references, given.told, module.sameWords);
      return found && [
        found.pairs.map(([one, other]) => [one.known ? one.phrase : null, other.place]),
        found.left.map(({ place }) => place),
      ];
    """, given)
    assert found == (None if pairs is None else [pairs, left])


def test_words_differ_by_kind_and_by_occurrence(call):
    given = [
        [reference("hat"), reference("hat", "object")], [reference("hat", occurrence=1), reference("hat")],
        [reference("hat", occurrence=2), reference("hat", occurrence=2)],
        [reference("", known=False), reference("hat", occurrence=2)],
    ]
    assert call("board/pairs.js", "return given.map((pair) => module.sameWords(...pair));", given) == [
        False, False, True, True,
    ]


@pytest.mark.parametrize(("name", "parts"), [
    ("a.png", ["a.png", "", "input"]), ("a.png [output]", ["a.png", "", "output"]),
    ("one/two/a b.png [temp]", ["a b.png", "one/two", "temp"]), ("a [x].png", ["a [x].png", "", "input"]),
    ("a.png[input]", ["a.png", "", "input"]), ("/a.png", ["a.png", "", "input"]),
])
def test_names_of_files_are_read_as_load_image_reads_them(call, name, parts):
    found = call("board/pictures.js", """
      const { filename, subfolder, type } = module.partsOf(given);
      return [[filename, subfolder, type], module.fileOfView(module.partsOf(given))];
    """, name)
    folder = f"{parts[1]}/" if parts[1] else ""
    assert found == [parts, f"{folder}{parts[0]} [{parts[2]}]"]


def test_sentences_have_a_form_for_one_and_keep_what_they_have_no_value_for(call):
    said = call("words.js", "return given.map(([key, values]) => module.say(key, values));", [
        ["problems", {"count": 1}], ["problems", {"count": 2}], ["problems", {}], ["no such key", {}],
    ])
    assert said == ["1 problem", "2 problems", "{count} problems", "no such key"]


def test_children_that_stay_are_the_same_elements_and_keep_the_focus(call):
    """Also where what stood before them goes."""
    steps = call("dom.js", """
      const parent = document.createElement('div');
      document.body.append(parent);
      const made = [], shown = [];
      const show = (keys) => {
        const before = new Map([...parent.children].map((each) => [each.dataset.key, each]));
        module.keyed(parent, keys, (key) => key, (key) => { made.push(key); return document.createElement('input'); },
          (element, key) => { element.value = key; });
        const same = [...parent.children].every((each) => (before.get(each.dataset.key) ?? each) === each);
        shown.push([[...parent.children].map(({ value }) => value).join(''), same, document.activeElement.value ?? '']);
      };
      show(['a', 'b', 'c']);
      parent.children[1].focus();
      for (const keys of given) show([...keys]);
      parent.remove();
      return [made.join(''), shown.slice(1)];
    """, ["bc", "xbc", "b", "bca"])
    assert steps == ["abcxca", [["bc", True, "b"], ["xbc", True, "b"], ["b", True, "b"], ["bca", True, "b"]]]


def test_the_newest_result_that_fits_is_found_in_the_history(call):
    """The server lists the oldest first."""
    history = {
        str(number): {"outputs": {"5": {"lumosx_encoding": [{"prompt": prompt, "number": number}]}, "6": {"text": []}}}
        for number, prompt in enumerate(["a man", "a boy", "a man", "a cat"], 1)
    }
    found = call("result/last.js", """
      const api = new EventTarget(), encoder = { id: 5, graph: null }, host = { app: { nodeOutputs: {} }, api };
      api.fetchApi = async () => ({ json: async () => given });
      const over = new AbortController();
      module.findCached(encoder, host, ({ prompt }) => prompt === 'a man', over.signal);
      const found = [module.resultOf(encoder, host)];
      for (const nodes of [[], ['5']]) {
        api.dispatchEvent(new CustomEvent('execution_cached', { detail: { nodes } }));
        await new Promise((done) => setTimeout(done, 20));
        found.push(module.resultOf(encoder, host)?.number ?? null);
      }
      host.app.nodeOutputs[5] = { lumosx_encoding: [{ prompt: 'now', number: 9 }] };
      return [...found, module.resultOf(encoder, host).number];
    """, history)
    assert found == [None, None, 3, 9]


@pytest.mark.parametrize(("gigabytes", "words"), [
    (2.84, "2.8 GB"), (0.996, "1 GB"), (0.994, "990 MB"), (0.0113, "11 MB"), (0.001, "1 MB"),
    (0.0000183, "less than 1 MB"), (0, "less than 1 MB"), (123.4, "120 GB"),
])
def test_sizes_in_memory_as_people_say_them(call, gigabytes, words):
    assert call("result/units.js", "return module.memory(given);", gigabytes) == words


@pytest.mark.parametrize(("ratio", "words"), [
    (0.0000183, "less than 0.1 % of"), (0.001, "0.1 % of"), (0.0115, "1.2 % of"), (0.35, "35 % of"), (1, "as much as"),
    (1.0049, "as much as"), (1.15, "1.2 times"), (4.418, "4.4 times"),
])
def test_shares_of_other_work_as_people_say_them(call, ratio, words):
    assert call("result/units.js", "return module.share(given);", ratio) == words


@pytest.mark.parametrize(("text", "offset", "made"), [
    ("", 0, "red hat"), ("A man", 5, "A man red hat"), ("A man", 0, "red hat A man"), ("A man", 2, "A red hat man"),
    ("A man.", 5, "A man red hat."), ("A man,", 6, "A man, red hat"), ("A  man", 2, "A red hat man"),
])
def test_words_are_put_into_the_prompt_a_space_apart(call, text, offset, made):
    assert call("board/rewrite.js", "return module.withWords(...given)", [text, "red hat", offset]) == made
