"""The real server: what it is given, and that it ends whenever its owner does."""

import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest

from tools import launch, server
from tools.server import ROOT, ComfyServer, ServerError


@pytest.fixture
def fake_comfyui(tmp_path):
    """Return a function that makes a ComfyUI out of one line of Python."""

    def make(program):
        folder = tmp_path / "fake"
        folder.mkdir()
        (folder / "main.py").write_text(program)
        return folder

    return make


def test_the_pack_is_copied_without_what_is_not_shipped(tmp_path):
    pack = server.copy_pack(tmp_path)
    (pack / "left_over.py").touch()
    assert server.copy_pack(tmp_path) == pack
    assert pack.name == "lumosx"
    assert {path.name for path in pack.iterdir()} == {name for name in server.PACK_ENTRIES if (ROOT / name).exists()}
    assert not list(pack.rglob("__pycache__"))


def test_later_arguments_win_and_the_pack_is_the_only_custom_node(tmp_path):
    command = server.command_line("python", "comfyui", tmp_path, 1234, ("--port", "9"))
    assert command[-2:] == ["--port", "9"]
    position = command.index("--whitelist-custom-nodes")
    assert command[position - 1 : position + 2] == [
        "--disable-all-custom-nodes",
        "--whitelist-custom-nodes",
        "lumosx",
    ]


@pytest.mark.parametrize(
    ("arguments", "port"), [([], 8188), (["--port", "9"], 9), (["--port=10", "--cpu"], 10), (["--port"], 8188)]
)
def test_the_port_is_found_among_the_arguments(arguments, port):
    assert server._port_in(arguments) == port


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot reserve a port for another process")
def test_a_port_is_kept_for_the_server_and_given_to_nobody_else():
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(server.reserved_port()) for _ in range(20)]
        assert len(set(ports)) == 20
        program = (
            "import asyncio, sys\n"
            "async def main():\n"
            "    await asyncio.start_server(lambda reader, writer: writer.close(), '127.0.0.1', int(sys.argv[1]))\n"
            "asyncio.run(main())"
        )
        subprocess.run([sys.executable, "-c", program, str(ports[0])], check=True)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", ports[1]))


def test_an_early_end_is_reported_with_the_log(fake_comfyui):
    broken = ComfyServer(fake_comfyui("raise SystemExit('no disk left')"))
    with pytest.raises(ServerError, match="(?s)ended while starting.*no disk left"), broken:
        pass
    assert not broken.base.exists()
    assert "no disk left" in broken.log_text()


@pytest.mark.server
def test_a_pack_that_cannot_be_loaded_is_reported(monkeypatch, comfyui_dir):
    monkeypatch.setattr(server, "PACK_ENTRIES", ())
    broken = ComfyServer(comfyui_dir)
    with pytest.raises(ServerError, match="(?s)could not load the pack.*__init__.py"), broken:
        pass


def test_a_base_of_the_caller_stays(fake_comfyui, tmp_path):
    log = tmp_path / "log.txt"
    broken = ComfyServer(fake_comfyui("print('started')"), base=tmp_path / "base", log=log)
    with pytest.raises(ServerError), broken:
        pass
    assert (tmp_path / "base" / "custom_nodes" / "lumosx").is_dir()
    assert log.read_text().strip() == "started"


def test_the_server_ends_with_a_parent_that_is_killed(fake_comfyui):
    folder = fake_comfyui("import time; time.sleep(60)")
    command = [sys.executable, str(server.LAUNCHER), str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**environment, launch.LIFELINE: "1"})
    try:
        time.sleep(0.5)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(30) == 1
    finally:
        process.kill()


def test_the_running_server_knows_where_everything_is(server, client):
    assert client.object_info("SaveVideo")["name"] == "SaveVideo"
    assert (server.base / "models" / "diffusion_models").is_dir()
    assert server.alive()
    assert "Starting server" in server.log_text()


def test_in_process_imports_are_those_of_the_host(comfyui_dir):
    import folder_paths

    import nodes

    assert os.path.samefile(nodes.__file__, comfyui_dir / "nodes.py")
    assert not folder_paths.get_output_directory().startswith(str(comfyui_dir))
