"""What every test shares: where the development data is, and hypothesis profiles."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the development data sets beside the checkout (or $THROUGHTIME_SHARED_DATA); skips where it is absent."""
    place = Path(os.environ.get("THROUGHTIME_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not place.is_dir():
        pytest.skip(f"needs the development data in ../shared/data, which is not there ({place.name} not found)")
    return place
