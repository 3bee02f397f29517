"""Whether memory returns to where it was: runs of the small models with other seeds, prompts and references."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import psutil
import torch

SCENES = ((1, 0), (2, 1), (1, 3), (2, 0), (1, 1), (2, 3))
"""People, and objects beside them: 1 to 5 references, coming round again after six runs."""
OBJECTS = ("white lamp", "small dog", "old bench")


@dataclass(frozen=True)
class Remaining:
    """What is left of one run after everything it gave back is dropped.

    Attributes:
        references: pictures of the run.
        tensors: live tensor objects.
        tensor_bytes: bytes of their storages, each counted once.
        resident_bytes: of the process.
        card_bytes: of tensors on the card; None without one.
    """

    references: int
    tensors: int
    tensor_bytes: int
    resident_bytes: int
    card_bytes: int | None


def repeat_runs(models: tuple, runs: int, size: tuple[int, int, int] = (64, 48, 9)) -> Iterator[dict]:
    """Encode and sample as the nodes do, again and again; one row a run.

    Args:
        models: MODEL with the relational forward, CLIP and VAE.
        runs: how many.
        size: width, height and frames.
    """
    for number in range(runs):
        people, objects = SCENES[number % len(SCENES)]
        _run(models, number, people, objects, size)
        yield asdict(_remaining(people + objects))


def _run(models: tuple, number: int, people: int, objects: int, size: tuple[int, int, int]) -> None:
    from lumosx_core.host.conditioning.encoder import encode_scene
    from lumosx_core.host.conditioning.video_size import VideoSize
    from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler

    model, clip, vae = models
    scene, prompt = _scene(number, people, objects)
    encoded = encode_scene(clip, vae, scene, prompt, f"blurred, run {number}", VideoSize(*size))
    run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=number, steps=2))


def _scene(number: int, people: int, objects: int):
    from lumosx_core.media import tensor_from_pil
    from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
    from tools.people import draw_face, random_look

    def picture(seed):
        return tensor_from_pil(draw_face(random_look(seed)))

    names = ("man on the left", "woman on the right")[:people]
    subjects = tuple(
        Subject(Reference(Kind.FACE, name, picture(10 * number + place))) for place, name in enumerate(names)
    )
    things = tuple(
        Reference(Kind.OBJECT, name, picture(10 * number + 5 + place)) for place, name in enumerate(OBJECTS[:objects])
    )
    prompt = f"Take {number}: a man on the left, a woman on the right, " + ", ".join(OBJECTS)
    return Scene(None, things, subjects), prompt


def live_tensors() -> tuple[int, int]:
    """How many dense tensor objects there are, and the bytes of their storages, each counted once."""
    gc.collect()
    # By exact type: compilers keep tensors without storage, and asking other packages' lazy objects may wake them.
    tensors = [held for held in gc.get_objects() if type(held) in (torch.Tensor, torch.nn.Parameter)]
    # Sparse ones have no storage; torch keeps some of its own.
    tensors = [tensor for tensor in tensors if tensor.layout is torch.strided]
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return len(tensors), sum(storages.values())


def _remaining(references: int) -> Remaining:
    tensors, tensor_bytes = live_tensors()
    card = torch.cuda.memory_allocated() if torch.cuda.is_available() else None
    resident = psutil.Process(os.getpid()).memory_info().rss
    return Remaining(references, tensors, tensor_bytes, resident, card)
