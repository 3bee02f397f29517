"""Start a ComfyUI as its own main.py would: python launch.py COMFYUI_DIR [COMFYUI ARGUMENTS...]"""

import os
import runpy
import sys
import threading

LIFELINE = "LUMOSX_TEST_LIFELINE"
WITHOUT = "LUMOSX_TEST_WITHOUT"


def main():
    comfyui_dir = os.path.abspath(sys.argv[1])
    own_dir = os.path.dirname(os.path.abspath(__file__))
    if os.environ.pop(LIFELINE, None):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    import stand_ins

    # Before anything can have imported them.
    stand_ins.hide(filter(None, os.environ.pop(WITHOUT, "").split(",")))
    # This folder has a server.py too; ComfyUI must find its own.
    sys.path[:] = [comfyui_dir] + [entry for entry in sys.path if os.path.abspath(entry) != own_dir]
    stand_ins.install()
    main_file = os.path.join(comfyui_dir, "main.py")
    sys.argv[:] = [main_file, *sys.argv[2:]]
    os.chdir(comfyui_dir)
    try:
        runpy.run_path(main_file, run_name="__main__")
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_parent():
    """Exit once the pipe on standard input closes: a parent that is killed leaves no server behind."""
    # Not sys.stdin: its lock, held by a daemon thread, would abort the interpreter's normal exit.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
