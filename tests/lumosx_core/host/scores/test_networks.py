"""Networks come to the card when room was made for them, and leave nothing there."""

import weakref

import comfy.model_management
import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.faces.release_networks import ARCFACE, CURRICULARFACE, FaceNetwork
from lumosx_core.host.scores.attributes import score_image_attributes
from lumosx_core.host.scores.identity import score_image_identity
from lumosx_core.host.scores.networks import on_device, room_for_embedders
from lumosx_core.media import tensor_from_pil
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.attributes.score import AttributePlan
from lumosx_core.scores.identity.measured import IdentityPlan
from lumosx_core.scores.identity.models import ModelNames
from support.drawing import draw_jacket
from support.dressed import dressed_frame
from support.face_networks import make_state
from support.face_videos import people_of_photograph

JACKET = draw_jacket((62, 140, 92))


class Recorder(torch.nn.Linear):
    """Keeps the devices it was moved to."""

    def __init__(self):
        super().__init__(3, 5)
        self.moves = []

    def to(self, device):
        self.moves.append(str(device))
        return self


def test_a_network_goes_to_the_card_after_room_is_made_and_comes_back_even_from_a_failure(monkeypatch):
    asked, card = [], torch.device("meta")
    monkeypatch.setattr(comfy.model_management, "get_torch_device", lambda: card)
    monkeypatch.setattr(comfy.model_management, "free_memory", lambda size, device: asked.append((size, device)))
    network = Recorder()
    with pytest.raises(ZeroDivisionError), on_device(network):
        assert network.moves == ["meta"]
        raise ZeroDivisionError
    assert network.moves == ["meta", "cpu"]
    (size, device), = asked
    assert size >= 4 * (3 * 5 + 5) and device == card


@pytest.fixture
def events(monkeypatch):
    """What happens to the card, in order; when memory is given back, with the number of face networks still alive."""
    told, alive = [], weakref.WeakSet()
    move = FaceNetwork.to

    def moved(network, device):
        alive.add(network)
        told.append("moved")
        return move(network, device)

    monkeypatch.setattr(FaceNetwork, "to", moved)
    monkeypatch.setattr(comfy.model_management, "free_memory", lambda size, device: told.append(("room", size, device)))
    monkeypatch.setattr(comfy.model_management, "soft_empty_cache", lambda: told.append(("given back", len(alive))))
    return told


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Small networks under the names of the release's files."""
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path))
    (tmp_path / "lumosx").mkdir()
    torch.save(make_state(ARCFACE), tmp_path / "lumosx" / "backbone.pth")
    torch.save(make_state(CURRICULARFACE), tmp_path / "lumosx" / "glint360k_curricular_face_r101_backbone.bin")


@pytest.fixture(scope="module")
def scene():
    face = Reference(Kind.FACE, "person", tensor_from_pil(Image.fromarray(people_of_photograph()[0].picture)))
    return Scene(None, (), (Subject(face, (Reference(Kind.ATTRIBUTE, "green jacket", tensor_from_pil(JACKET)),)),))


@pytest.fixture(scope="module")
def images():
    frame = dressed_frame([Image.fromarray(people_of_photograph()[0].picture)], [JACKET])
    return torch.from_numpy(frame.astype(np.float32) / 255)[None]


def test_both_embedders_of_identity_scores_find_room_and_leave_nothing(images, scene, networks, events):
    names = ModelNames("CenterFace", "ArcFace IR-100", "CurricularFace IR-101")
    score_image_identity(images, scene, IdentityPlan(), names)
    (room, size, device), *moved, last = events
    assert (room, device) == ("room", comfy.model_management.get_torch_device())
    # Twice the weights of two networks of 65 million.
    assert size > 2 * 2 * 4 * 65e6
    assert moved == ["moved"] * 2 and last == ("given back", 0)


def test_the_embedder_of_attribute_scores_finds_room_and_leaves_nothing(images, scene, networks, events):
    score_image_attributes(images, scene, AttributePlan("colour"), "automatic", "CenterFace")
    assert [event[0] for event in events if event != "moved"] == ["room", "given back"]
    assert events[1] == "moved" and events[-1] == ("given back", 0)


def test_nobody_makes_room_for_what_does_not_run_there(images, scene, events):
    score_image_identity(images, scene, IdentityPlan(), ModelNames("CenterFace", "dlib"))
    assert events == []


def test_memory_is_given_back_after_a_failure(events):
    with pytest.raises(ZeroDivisionError), room_for_embedders("ArcFace IR-100"):
        raise ZeroDivisionError
    assert [event[0] for event in events] == ["room", "given back"]
