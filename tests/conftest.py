"""What every test shares: where the development data is, and hypothesis profiles."""

import os
from pathlib import Path

# Before anything loads an OpenMP runtime: small cases gain nothing from a second thread, and where other programs want
# the cores too, waiting for it costs tens of times the work. Tests of threads set their own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the development data sets beside the checkout, or $THROUGHTIME_SHARED_DATA; skips where absent."""
    place = Path(os.environ.get("THROUGHTIME_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not place.is_dir():
        pytest.skip(f"needs the development data in ../shared/data, which is not there ({place.name} not found)")
    return place
