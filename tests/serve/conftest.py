"""A real service for the tests that neither configure it nor end it: a start takes half a minute on two cores."""

from collections.abc import Iterator

import pytest

from tests.support.service import Service, running


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One in each process that shares the tests; ends before that begins with ``tests/starts``."""
    with running(tmp_path_factory.mktemp("cv2"), IOPAINT_MODELS="cv2,fake", IOPAINT_FAKE_UNIT_S="0.2") as made:
        yield made
