"""The demo: run a workflow of tests/workflows on a real headless ComfyUI and leave its video in a file."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from lumosx_core.runner.protocol import Refused, ServerAway, reason
from tools.client import ComfyClient, ExecutionFailed, Interrupted, PromptRejected
from tools.demo_lynx import write_face
from tools.server import ROOT, ComfyServer, ServerError
from tools.similar_case import write_similar_case, write_whole_case

CASE_FOLDER = "lumosx_cases"
TIMEOUT_SECONDS = 3600
# Sampling takes most of the time, so it takes most of the bar.
SAMPLER_WEIGHT = 20
QUIET_SECONDS = 20


@dataclass(frozen=True)
class Demo:
    """How to show one of the small models.

    Attributes:
        workflow: its own, in API form.
        prompt, seed: the node and its input for these options.
        off: the node, and the inputs of it with which the same is made without what the demo is about; None removes
            an input.
        words: under the videos with it and without.
        write_case: draws its case into a folder that does not exist yet; None for a workflow without Load Case.
        write_pictures: draws what its Load Image nodes load into a folder, and returns the words for each file name;
            None for a workflow without such nodes.
    """

    workflow: Path
    prompt: tuple[str, str]
    seed: tuple[str, str]
    off: tuple[str, dict]
    words: tuple[str, str]
    write_case: Callable[[Path], Path] | None = None
    write_pictures: Callable[[Path], dict[str, str]] | None = None


_WORKFLOWS = ROOT / "tests" / "workflows"
DEMOS = {
    "lumosx": Demo(
        _WORKFLOWS / "demo.json", ("LumosX_RelationalEncode", "prompt"), ("LumosX_Sampler", "seed"),
        ("LumosX_Model", {"ratio": 0.0}), ("with relations", "relations off"), write_case=write_similar_case,
    ),
    "lynx": Demo(
        _WORKFLOWS / "lynx_demo.json", ("CLIPTextEncode", "text"), ("KSampler", "seed"),
        ("LumosX_Lynx", {"id_scale": 0.0, "ref_scale": 0.0}), ("with Lynx", "without Lynx"), write_pictures=write_face,
    ),
    "polyvivid": Demo(
        _WORKFLOWS / "polyvivid_demo.json", ("LumosX_PolyVividEncode", "prompt"), ("KSampler", "seed"),
        ("LumosX_PolyVividEncode", {"relations": None}), ("with PolyVivid", "without PolyVivid"),
        write_case=write_whole_case,
    ),
}


class DemoError(Exception):
    """The demo cannot go on; the message is one sentence for the user."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise DemoError(f"{message[:1].upper()}{message[1:]} (see python dev.py demo --help).")


@dataclass(frozen=True)
class Options:
    """The demo's checked arguments; every path is absolute."""

    out: Path
    case: Path | None
    prompt: str | None
    seed: int | None
    host_log: Path | None
    workflow: Path
    strip: Path | None = None
    relations: bool = True
    model: str = "lumosx"

    @property
    def demo(self):
        """How the model is shown."""
        return DEMOS[self.model]


def parse(argv):
    """Return the checked Options for a command line; raises DemoError when one of them cannot work."""
    parser = _Parser(prog="dev.py demo", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--model", choices=DEMOS, default="lumosx",
        help="lynx: one face by Lynx; polyvivid: two people as whole figures by PolyVivid (%(default)s)",
    )
    parser.add_argument("--case", metavar="FOLDER", help="a case folder of your own (default: two similar people)")
    parser.add_argument("--prompt", metavar="TEXT", help="replaces the case's caption")
    parser.add_argument("--out", metavar="FILE", default="lumosx_demo.mp4", help="where the video goes (%(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, help="seed of the sampler (default: the workflow's own)")
    parser.add_argument("--host-log", metavar="FILE", help="keep what ComfyUI prints in this file")
    parser.add_argument("--workflow", metavar="FILE", help="another workflow in API form")
    parser.add_argument(
        "--strip", metavar="FILE",
        help="also a picture: references above, frames below; a .webp is animated, and also shows the same "
        "without relations, Lynx or PolyVivid",
    )
    parser.add_argument(
        "--relations", choices=("on", "off"), default="on",
        help="off: the same model without MCAM (lumosx) or without subjects (polyvivid) (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.seed is not None and not 0 <= arguments.seed < 2**64:
        raise DemoError(f"--seed must be between 0 and {2**64 - 1}, not {arguments.seed}.")
    if DEMOS[arguments.model].write_case is None and (arguments.case is not None or arguments.relations == "off"):
        others = " and ".join(model for model, demo in DEMOS.items() if demo.write_case is not None)
        raise DemoError(f"--case and --relations are for --model {others}: leave them out with {arguments.model}.")
    return Options(
        out=_checked_out(arguments.out),
        case=_checked_case(arguments.case) if arguments.case is not None else None,
        prompt=arguments.prompt,
        seed=arguments.seed,
        host_log=_checked_log(arguments.host_log) if arguments.host_log is not None else None,
        workflow=Path(arguments.workflow or DEMOS[arguments.model].workflow).resolve(),
        strip=_checked_strip(arguments.strip) if arguments.strip is not None else None,
        relations=arguments.relations == "on",
        model=arguments.model,
    )


def _checked_out(text):
    path = Path(text).expanduser().absolute()
    if path.suffix.lower() != ".mp4":
        raise DemoError(f"--out must name an .mp4 file, not {text}.")
    if path.is_dir():
        raise DemoError(f"--out names the folder {path}: give it a file name.")
    _check_writable(_aside(path), path, "--out")
    return path


def _checked_log(text):
    path = Path(text).expanduser().absolute()
    _check_writable(path, path, "--host-log")
    return path


def _checked_strip(text):
    path = Path(text).expanduser().absolute()
    if path.suffix.lower() not in (".png", ".jpg", ".webp"):
        raise DemoError(f"--strip must name a .png, .jpg or .webp file, not {text}.")
    _check_writable(_aside(path), path, "--strip")
    return path


def _check_writable(probe, path, option):
    existed = probe.exists()
    try:
        probe.open("ab").close()
    except OSError as error:
        reason_given = error.strerror or error
        raise DemoError(f"{option} {path} cannot be written: {reason_given}. Choose another place.") from None
    if not existed:
        probe.unlink()


def _checked_case(text):
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise DemoError(f"There is no case folder {path}: give one that holds a caption.txt.")
    if not (path / "caption.txt").is_file():
        raise DemoError(f"The case folder {path} has no caption.txt: add one with the prompt in it.")
    return path


def _aside(path):
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def load_workflow(options):
    """Return the API workflow with the options filled in; raises DemoError when it lacks the nodes for them."""
    try:
        prompt = json.loads(options.workflow.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DemoError(f"The workflow {options.workflow} cannot be read: {error}.") from None
    if options.case is not None:
        node = _find_node(prompt, "LumosX_LoadCase", options.workflow)
        prompt[node]["inputs"]["case"] = f"{CASE_FOLDER}/{options.case.name} [input]"
    for value, (node, name) in ((options.prompt, options.demo.prompt), (options.seed, options.demo.seed)):
        if value is not None:
            prompt[_find_node(prompt, node, options.workflow)]["inputs"][name] = value
    if not options.relations:
        node, changed = options.demo.off
        inputs = prompt[_find_node(prompt, node, options.workflow)]["inputs"]
        inputs.update(changed)
        for name in [name for name, value in changed.items() if value is None]:
            del inputs[name]
    _find_node(prompt, "SaveVideo", options.workflow)
    return prompt


def _find_node(prompt, class_type, workflow):
    for node_id, node in prompt.items():
        if node["class_type"] == class_type:
            return node_id
    raise DemoError(f"The workflow {workflow} has no {class_type} node: add one.")


class ProgressLine:
    """One line on standard error that says how far the workflow is; a few plain lines if that is not a terminal."""

    def __init__(self, prompt, stream=None):
        self._titles = {node: info.get("_meta", {}).get("title", info["class_type"]) for node, info in prompt.items()}
        self._weights = {
            node: SAMPLER_WEIGHT if "Sampler" in info["class_type"] else 1 for node, info in prompt.items()
        }
        self._finished = set()
        self._current = None
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._last_line = (-1, 0.0)
        self._bar = tqdm(
            total=sum(self._weights.values()), file=self._stream, disable=not self._stream.isatty(),
            bar_format="{percentage:3.0f}% |{bar}| {desc} ({elapsed})",
        )

    def on_event(self, kind, data):
        """Take an event of the prompt from ComfyClient.run."""
        if kind == "execution_cached":
            self._finished.update(data["nodes"])
        elif kind == "executing":
            self._move_on_to(data["node"])
        elif kind == "progress" and data.get("max"):
            self.show(self._text(), data["value"] / data["max"], f"{data['value']:g}/{data['max']:g}")
        elif kind == "execution_success":
            self._finished.update(self._titles)
            self.show("Done")

    def _move_on_to(self, node):
        if self._current is not None:
            self._finished.add(self._current)
        self._current = node
        self.show(self._text())

    def _text(self):
        return self._titles.get(self._current, "")

    def show(self, text, part=0.0, step=""):
        """Write `text` behind the bar; `part` is how far the current node is, `step` the same in words."""
        done = sum(weight for node, weight in self._weights.items() if node in self._finished)
        done += part * self._weights.get(self._current, 0)
        fraction = done / sum(self._weights.values())
        seconds = time.monotonic() - self._started
        text = f"{text} {step}".rstrip()
        if not self._bar.disable:
            self._bar.n = done
            # It draws the bar too.
            self._bar.set_description_str(text)
        elif int(fraction * 10) > self._last_line[0] or seconds >= self._last_line[1] + QUIET_SECONDS:
            self._last_line = (int(fraction * 10), seconds)
            print(f"{fraction:4.0%} {text} ({seconds:.0f} s)", file=self._stream, flush=True)

    def close(self):
        """End the line."""
        self._bar.close()


def make_video(options, prompt, comfyui_dir, models):
    """Run the workflow and leave its video at options.out; raises DemoError, or what the server and client raise."""
    with tempfile.TemporaryDirectory(prefix="lumosx-demo-", ignore_cleanup_errors=True) as base:
        if options.case is not None:
            _copy_case(options.case, Path(base) / "input" / CASE_FOLDER / options.case.name)
        if options.demo.write_pictures is not None:
            options.demo.write_pictures(Path(base) / "input")
        progress = ProgressLine(prompt)
        progress.show("Starting ComfyUI")
        server = ComfyServer(comfyui_dir, base=base, log=options.host_log, models=models)
        with contextlib.closing(progress), server:
            try:
                _fetch_video(ComfyClient(server.url), options, prompt, progress)
            except (ServerAway, OSError):
                if not server.has_ended():
                    raise
                raise ServerError(f"ComfyUI ended while running. Its last lines:\n{server.log_tail()}") from None


def _copy_case(source, target):
    try:
        # Editors and desktops leave dotfiles behind. Links stay links, so that none brings in what lies elsewhere.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"), symlinks=True)
    except shutil.Error as error:
        raise DemoError(f"{error.args[0][0][0]} cannot be read: {error.args[0][0][2]}.") from None
    except OSError as error:
        raise DemoError(f"The case folder {source} cannot be read: {error}.") from None


def _fetch_video(client, options, prompt, progress):
    run = client.run(prompt, on_event=progress.on_event, timeout=TIMEOUT_SECONDS)
    errors = reason({"node_errors": run.node_errors})
    if errors:
        raise DemoError(errors)
    outputs = run.outputs.get(_find_node(prompt, "SaveVideo", options.workflow), {})
    files = [entry for entries in outputs.values() for entry in entries if isinstance(entry, dict)]
    videos = [file for file in files if str(file.get("filename", "")).lower().endswith(".mp4")]
    if not videos:
        raise DemoError("The workflow ended without an .mp4 file from its SaveVideo node.")
    part = _aside(options.out)
    try:
        part.write_bytes(client.view(videos[0]))
        os.replace(part, options.out)
    finally:
        part.unlink(missing_ok=True)


def main(argv):
    """Run the demo and return the exit code; the last line on standard output is the video's path."""
    # Ending by signal must unwind the stack too: it stops the server and removes what is half written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="lumosx-case-") as drawn:
            options = _with_case(parse(argv), Path(drawn))
            _run(options)
            if options.strip is not None:
                _write_strip(options, Path(drawn))
    except KeyboardInterrupt:
        return _fail("Stopped.", 130)
    except Interrupted:
        return _fail("The workflow was interrupted.")
    except ExecutionFailed as error:
        return _fail(error.message)
    except (DemoError, PromptRejected, Refused, ServerError, ServerAway, OSError) as error:
        return _fail(str(error))
    # A pipe on Windows may not know every letter of a path, and the video is made by now.
    sys.stdout.reconfigure(errors="backslashreplace")
    print(options.out)
    return 0


def _with_case(options, folder):
    """The options with a case that is drawn, where the workflow is the demo's own and no case is named."""
    demo = options.demo
    if options.case is not None or demo.write_case is None or options.workflow != demo.workflow:
        return options
    return replace(options, case=demo.write_case(folder / "demo"))


def _run(options):
    models = Path(os.environ["LUMOSX_TEST_STATE"]) / "models"
    make_video(options, load_workflow(options), os.environ["LUMOSX_TEST_COMFYUI"], models)


def _write_strip(options, folder):
    """Write the picture of the references and the video; an animated one also shows the video without them."""
    from lumosx_core.media.video import VideoFile
    from tools.strip import case_pictures, make_animation, make_strip

    moves = options.strip.suffix.lower() == ".webp"
    if options.demo.write_pictures is not None:
        written = options.demo.write_pictures(folder)
        pictures = [(Image.open(folder / name), words, None) for name, words in written.items()]
    else:
        pictures = case_pictures(options.case or _demo_case(folder / "case"))
    if moves:
        off = replace(options, relations=False, out=folder / "off.mp4")
        _run(off)
        videos = dict(zip(options.demo.words, (options.out, off.out)))
        first, *others = make_animation(pictures, videos)
        frame_ms = round(1000 / VideoFile(options.out).fps)
        how = {"format": "WEBP", "save_all": True, "append_images": others, "duration": frame_ms, "loop": 0,
               "quality": 80, "method": 6}
    else:
        first = make_strip(pictures, options.out)
        how = {"format": "JPEG" if options.strip.suffix.lower() == ".jpg" else "PNG", "quality": 90}
    part = _aside(options.strip)
    try:
        first.save(part, **how)
        os.replace(part, options.strip)
    finally:
        part.unlink(missing_ok=True)


def _demo_case(folder):
    from lumosx_core.tiny.demo_case import write_demo_case

    return write_demo_case(folder)


def _fail(message, code=1):
    print(f"LumosX demo: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
