"""Two photographs, the detector that finds their faces, and a machine without a network."""

import socket

import pytest

from lumosx_core.faces.centerface import CenterFace
from support.photographs import astronaut_file, read, six_people_file


@pytest.fixture(scope="module")
def detector():
    return CenterFace()


@pytest.fixture(scope="module")
def astronaut():
    return read(astronaut_file())


@pytest.fixture(scope="module")
def six_people():
    return read(six_people_file())


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("something wants to connect")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
