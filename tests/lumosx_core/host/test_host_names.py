"""Every name of ComfyUI that the pack touches is there on the host under test, and takes what we give it.

An update of ComfyUI that moves a function breaks packs on the same day; this names the place.
"""

import ast

import pytest
import torch

from support.names import asked_for, attributes_of, may_touch, misfit, module_names, resolve
from tools.archive import ROOT, shipped_files

FILES = [path for path in shipped_files() if path.suffix == ".py"]
SOURCES = {path: (ROOT / path).read_text(encoding="utf-8") for path in FILES}
# By the text alone, since every process of the test run makes this list, and parsing takes longer.
TOUCHING = [path for path, source in SOURCES.items() if may_touch(source)]

# File of lumosx_core/host, how it calls one of ComfyUI's objects, and which object of the fixture `objects` that is.
RECEIVERS = [
    ("model/attention", "model", "patcher"), ("model/wrappers", "patcher", "patcher"),
    ("methods/lumosx", "model", "patcher"),
    ("methods/lumosx", "executor", "executor"), ("sampling/run", "guider", "guider"),
    ("methods/lumosx", "diffusion_model", "transformer"), ("conditioning/fingerprint", "patcher", "patcher"),
    ("model/memory", "patcher", "patcher"), ("model/memory", "model", "model"), ("model/memory", "one", "loaded"),
    ("model/memory", "placed", "patcher"),
    ("model/memory", "management", "management"), ("conditioning/tokens", "clip", "clip"),
    ("conditioning/pictures", "vae", "vae"), ("conditioning/encodings", "clip", "clip"),
    ("conditioning/encodings", "vae", "vae"), ("weights/tiny", "clip", "clip"), ("weights/tiny", "vae", "vae"),
    ("sampling/foreign", "model", "transformer"), ("model/low_rank", "patcher", "patcher"),
    ("sampling/caches", "cache", "cache"), ("sampling/guidance", "unguided", "cache"),
]
# What a name stands for elsewhere in the same file.
ELSEWHERE = {("methods/lumosx", "model"): "transformer"}
# What only newer hosts have; all of it came with is_dynamic, which is asked first.
NEWER = {("methods/lumosx", "clone(disable_dynamic)"), ("methods/lumosx", "cached_patcher_init")}


def source_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def objects(tiny):
    """One real object of each kind that the host hands to us."""
    import comfy.model_management
    from comfy.patcher_extension import WrapperExecutor
    from comfy.samplers import CFGGuider
    from comfy_extras.nodes_easycache import EasyCacheHolder

    patcher, clip, vae = tiny
    model = patcher.model
    guider = CFGGuider(patcher)
    # It has them while it samples only; every run of ours reads them, in test_conditions.py.
    guider.conds = {}
    return {
        "patcher": patcher, "clip": clip, "vae": vae, "model": model, "transformer": model.diffusion_model,
        "executor": WrapperExecutor.new_class_executor(model.apply_model, model, []),
        "guider": guider, "loaded": comfy.model_management.LoadedModel(patcher),
        "management": comfy.model_management,
        "cache": EasyCacheHolder(0.2, 0.15, 0.95, 8, False),
    }


@pytest.mark.parametrize("path", TOUCHING, ids=str)
def test_every_name_of_comfyui_is_there_and_every_call_fits(path):
    source = source_of(path)
    uses, wrong = module_names(source), []
    assert uses
    for use in uses:
        try:
            found = resolve(use.name)
        except (ImportError, AttributeError) as error:
            if use.name.rpartition(".")[2] not in asked_for(source):
                wrong.append(f"line {use.line}: {use.name}: {error}")
            continue
        reason = misfit(found, use.call) if use.call is not None and callable(found) else None
        if reason:
            wrong.append(f"line {use.line}: {use.name}: {reason}")
    assert not wrong


@pytest.mark.parametrize(("file", "receiver", "kind"), RECEIVERS)
def test_what_we_ask_of_comfyuis_objects_is_there_and_fits(objects, file, receiver, kind):
    source = source_of(f"lumosx_core/host/{file}.py")
    uses = attributes_of(source, receiver)
    assert uses, "nothing is asked of it any more: take it off the list"
    kinds = [kind, *filter(None, [ELSEWHERE.get((file, receiver))])]
    lacking = set() if hasattr(objects["patcher"], "is_dynamic") else NEWER
    wrong = []
    for use in uses:
        if not {(file, use.name), (file, written(use))} & lacking and use.name not in asked_for(source):
            reasons = [reason_against(objects[kind], use) for kind in kinds]
            wrong += [f"line {use.line}: {reasons[0]}"] if all(reasons) else []
    assert not wrong


def written(use):
    """A call with the names of its keywords."""
    return f"{use.name}({', '.join(word.arg or '**' for word in use.call.keywords)})" if use.call is not None else None


def reason_against(found, use):
    """Why an object does not have, or take, what is asked of it; None if it does."""
    try:
        for part in use.name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        return str(error)
    return misfit(found, use.call) if use.call is not None else None


def test_our_subclasses_override_what_is_there():
    """Methods of the pack's subclasses of ComfyUI's classes that are called through super()."""
    from lumosx_core.host.model.low_rank import BesidePatcher
    from lumosx_core.host.model.packed import PackedOperations

    called = {
        node.func.attr for file in ("model/packed", "model/low_rank")
        for node in ast.walk(ast.parse(source_of(f"lumosx_core/host/{file}.py")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "super()"
    } - {"around", "_place"}
    if not hasattr(BesidePatcher.__base__, "state_dict_for_saving"):
        # Only newer hosts have it, and call it.
        called -= {"state_dict_for_saving"}
    bases = (BesidePatcher.__base__, PackedOperations.Linear.__base__)
    assert called and all(any(hasattr(base, name) for base in bases) for name in called), called


@pytest.mark.parametrize("source", [
    "import comfy.sd\ncomfy.sd.load_nothing()", "from comfy.sd import load_nothing",
    "import comfy.no_such_module", "import comfy.utils as u\nu.no_such_name",
    "import folder_paths\nfolder_paths.no_such_name",
])
def test_a_name_that_has_gone_is_noticed(source):
    with pytest.raises((ImportError, AttributeError)):
        for use in module_names(source):
            resolve(use.name)


@pytest.mark.parametrize(("call", "fits"), [
    ("comfy.utils.load_torch_file('a', safe_load=True)", True), ("comfy.utils.load_torch_file()", False),
    ("comfy.utils.load_torch_file('a', no_such=True)", False), ("comfy.utils.load_torch_file(*names, **options)", True),
    ("comfy.utils.load_torch_file(*names, no_such=True)", False), ("comfy.utils.ProgressBar(3)", True),
    ("comfy.utils.ProgressBar()", False),
])
def test_a_call_that_no_longer_fits_is_noticed(call, fits):
    use = next(use for use in module_names(f"import comfy.utils\n{call}") if use.call is not None)
    assert (misfit(resolve(use.name), use.call) is None) == fits


def test_attributes_are_found_with_their_calls():
    uses = attributes_of("model.a.b(1)\nmodel.c = 2\nother.d\nmodel.e\nf(model)", "model")
    assert sorted((use.name, use.call is not None) for use in uses) == [("a.b", True), ("e", False)]
    uses = attributes_of("model.forward(1)\nmodel.forward()\nmodel.gone", "model")
    assert sum(reason_against(torch.nn.Identity(), use) is None for use in uses) == 1
    assert misfit(torch.nn.Identity.forward, ast.parse("f(1, 2, 3)").body[0].value)
    assert asked_for("hasattr(x, 'a'); getattr(x, 'b', 0); getattr(x, name)") == {"a", "b"}
