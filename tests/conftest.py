"""What all tests share: no windows open, and the folder with real frames."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything of ours imports matplotlib

HERE = Path(__file__).resolve()


@pytest.fixture(scope="session")
def real_data():
    """Folder with real frames (``SLITLAPSE_DATA``), or skip."""
    folder = os.environ.get("SLITLAPSE_DATA")
    path = Path(folder) if folder else HERE.parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real frames at {path}: set SLITLAPSE_DATA to their folder")
    return path


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test drew."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
