"""One real service for the tests that do not break or configure it: a start takes a quarter of a minute."""

from collections.abc import Iterator

import pytest

from tests.support.service import Service, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("cv2"), IOPAINT_MODELS="cv2,fake", IOPAINT_FAKE_UNIT_S="0.2") as made:
        yield made
