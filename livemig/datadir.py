"""Where the recordings and golden cases are: `data/` of a source checkout, `livemig/_data` of an installed wheel."""

from pathlib import Path

__all__ = ["data_dir"]

_PACKAGE = Path(__file__).resolve().parent


def data_dir() -> Path:
    """Return the folder that holds `recordings/` and the other data that livemig ships.

    Raises `FileNotFoundError`, naming both places that were looked at, when neither exists.
    """
    in_wheel = _PACKAGE / "_data"
    in_checkout = _PACKAGE.parent / "data"
    if in_wheel.is_dir():
        return in_wheel
    # site-packages/data could be anybody's; only a checkout has pyproject.toml beside the package.
    if in_checkout.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return in_checkout
    raise FileNotFoundError(
        f"livemig's data folder is missing: neither {in_wheel} (an installed wheel) nor {in_checkout} "
        "(a source checkout) is there; install livemig again or clone the whole repository"
    )
