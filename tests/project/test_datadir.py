"""livemig.datadir finds data/ in a checkout, and says where it looked when there is none."""

import shutil

import pytest

from livemig import datadir


def package_at(folder, monkeypatch):
    """Make livemig.datadir believe that the package lies in `folder`/livemig."""
    package = folder / "livemig"
    package.mkdir(parents=True)
    monkeypatch.setattr(datadir, "_PACKAGE", package)
    return package


def test_a_checkout_has_data_beside_the_package(root) -> None:
    assert datadir.data_dir() == root / "data"


def test_a_wheel_has_data_inside_the_package(tmp_path, monkeypatch) -> None:
    package = package_at(tmp_path, monkeypatch)
    (package / "_data").mkdir()
    assert datadir.data_dir() == package / "_data"


def test_a_foreign_data_folder_in_site_packages_is_not_ours(tmp_path, monkeypatch) -> None:
    package = package_at(tmp_path, monkeypatch)
    (tmp_path / "data").mkdir()
    with pytest.raises(FileNotFoundError, match="data folder is missing") as caught:
        datadir.data_dir()
    assert str(package / "_data") in str(caught.value)
    (tmp_path / "pyproject.toml").touch()
    assert datadir.data_dir() == tmp_path / "data"
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(FileNotFoundError):
        datadir.data_dir()
