"""LumosX Model Loader on the page, with the release's own folder: offered, converted once with progress, then used."""

import inspect
import shutil
import uuid

import pytest
import torch.distributed.checkpoint as checkpoint

from tools.weight_files import small_transformer

_ADD = """() => {
  const [loader, shown] = ['LumosX_ModelLoader', 'PreviewAny'].map((type) => LiteGraph.createNode(type));
  loader.pos = [300, 200];
  shown.pos = [800, 200];
  app.graph.add(loader);
  app.graph.add(shown);
  loader.connect(0, shown, 0);
  app.canvas.canvas.focus();
  window.loader = loader;
}"""
_OFFERED = "() => loader.widgets.find(({ name }) => name === 'model_name').options.values"
_SET = """([name, value]) => {
  const widget = loader.widgets.find((each) => each.name === name);
  widget.value = value;
  widget.callback?.(value);
}"""
# A classic node draws what it is told, a Vue node has a bar; from 0 to 1.
_WATCH = """async () => {
  const drawn = document.querySelector(`[data-node-id="${loader.id}"]`), { api } = await import('/scripts/api.js');
  window.heard ??= api.addEventListener('progress_state', ({ detail: { nodes } }) => {
    const { value, max } = nodes[loader.id] ?? { value: 0, max: 1 };
    sent.push(value / max);
  }) ?? true;
  window.sent = [];
  window.shown = [];
  window.watch?.disconnect();
  if (drawn) {
    const width = ({ className, style }) => /bg-primary/.test(className) && /%$/.test(style.width) && style.width;
    window.watch = new MutationObserver(() => {
      const [bar] = [...drawn.querySelectorAll('[style]')].map(width).filter(Boolean);
      if (bar) shown.push(parseFloat(bar) / 100);
    });
    watch.observe(drawn, { attributes: true, childList: true, subtree: true });
  } else {
    let now = loader.progress;
    Object.defineProperty(loader, 'progress', { configurable: true, get: () => now, set: (next) => {
      now = next;
      if (next !== undefined) shown.push(next);
    } });
  }
}"""
# Every node begins at 0 and ends at 1, whether it has a bar or not.
_BETWEEN = "() => [sent, shown].map((seen) => [...new Set(seen)].filter((share) => share > 0 && share < 1))"


@pytest.fixture
def folder(server):
    """A folder LumosX_models among the models, at a place of this test alone."""
    folder = server.models / "diffusion_models" / uuid.uuid4().hex / "LumosX_models"
    checkpoint.save({"ema": small_transformer()}, checkpoint_id=folder / "all", no_dist=True)
    yield folder
    shutil.rmtree(folder.parent)


def ran(comfy, name):
    """Queue; whether the node of this type ran, and was not taken from the cache."""
    entry = comfy.queue()
    assert entry["status"]["status_str"] == "success"
    [node] = [key for key, each in comfy.prompt().items() if each["class_type"] == name]
    cached = [given["nodes"] for kind, given in entry["status"]["messages"] if kind == "execution_cached"]
    return node not in sum(cached, [])


def draws_by_frame():
    """Whether the page draws one message in each frame: a busy machine may draw none during so short a conversion."""
    from comfy_api.latest import io

    return "search_aliases" in inspect.signature(io.Schema.__init__).parameters


def test_the_folder_is_offered_and_converted_with_progress_by_the_first_run_alone(comfy, folder):
    comfy.run(_ADD)
    name, made = f"{folder.parent.name}/{folder.name}/", folder.with_name("LumosX_models_bf16.safetensors")
    assert name not in comfy.run(_OFFERED)
    # As the messages say, to see what is new in the folders.
    comfy.page.keyboard.press("r")
    comfy.page.wait_for_function(f"name => ({_OFFERED})().includes(name)", arg=name)
    comfy.run(_SET, ["model_name", name])
    comfy.run(_WATCH)
    assert ran(comfy, "LumosX_ModelLoader")
    sent, shown = comfy.run(_BETWEEN)
    assert len(sent) > 2 and sent == sorted(sent)
    assert shown == sorted(shown) and (shown or draws_by_frame())
    first = made.stat()
    comfy.run(_SET, ["weight_dtype", "fp8_e4m3fn"])
    comfy.run(_WATCH)
    assert ran(comfy, "LumosX_ModelLoader")
    assert comfy.run(_BETWEEN) == [[], []]
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (first.st_mtime_ns, first.st_ino)
    assert comfy.errors == []
