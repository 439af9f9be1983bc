"""The chest that the promises are tried on, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk

from tests.promises.chest import chest, written


@pytest.fixture(scope="session")
def image() -> sitk.Image:
    return chest()


@pytest.fixture(scope="session")
def dicom(image: sitk.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(image, tmp_path_factory.mktemp("dicom"), "")


@pytest.fixture(scope="session")
def metaio(image: sitk.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(image, tmp_path_factory.mktemp("metaio"), ".mha")
