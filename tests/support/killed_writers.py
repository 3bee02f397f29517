"""Processes that save a case and are killed meanwhile.

They come from a fork server, since a fork of the tests' own process can hang: the locks that its other threads hold at
that moment are never released in the child.
"""

import multiprocessing
import os
import pickle
import shutil
import signal
from pathlib import Path

import torch
from PIL import Image

from lumosx_core.cases.writing import write_case_folder
from lumosx_core.scene.relations import Kind, Reference, Scene

MOMENTS = {"writing": (Image.Image, "save"), "moved away": (Path, "rename"), "in place": (shutil, "rmtree")}
"""By when the process kills itself: the function that it does so in, after the call for "moved away"."""


def start(function, *arguments):
    """Call a function of this module in a process of its own, and return the process."""
    context = multiprocessing.get_context("forkserver")
    # Each writer is a process of its own; only what they import is loaded once.
    context.set_forkserver_preload([__name__])
    process = context.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def save_and_die(scene, target, moment):
    """Save a case (a pickled scene) over the one at ``target``, and be killed at the moment that is named."""
    owner, name = MOMENTS[moment]
    real = getattr(owner, name)

    def killed(*arguments, **options):
        if moment == "moved away":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)
    write_case_folder(pickle.loads(scene), "new", "n", target, replace=True)


def save_again_and_again(target, replace, connection):
    """Save a case of 40 things until somebody kills this process; each time it says so."""
    many = Scene(objects=tuple(
        Reference(Kind.OBJECT, f"thing {number}", torch.rand(1, 64, 64, 3)) for number in range(40)
    ))
    while True:
        write_case_folder(many, "p", "n", target, replace)
        connection.send("saved")
