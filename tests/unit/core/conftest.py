from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from support.stage import Stage

# Not in the checkout: pytest takes the folder there for tests, with a warning, and
# warnings are errors.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "jobs-grpc-hypothesis")


@pytest.fixture
def stage() -> Stage:
    return Stage()
