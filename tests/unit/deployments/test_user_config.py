import logging

import pytest
from pydantic import ValidationError

from deployments.user_config import InpainterUserConfig, LogLevel, UserConfig


def test_a_level_taken_away_brings_the_first_one_back() -> None:
    logger = logging.getLogger("ray.serve")
    first = logger.level
    level = LogLevel()
    level.apply(UserConfig(log_level="DEBUG"))
    assert logger.level == logging.DEBUG
    level.apply(UserConfig())
    assert logger.level == first


@pytest.mark.parametrize("wrong", [{"log_levle": "INFO"}, {"log_level": "LOUD"}, {"max_pixels": 0}, {"max_batch": 0}])
def test_what_it_does_not_know_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        InpainterUserConfig.model_validate(wrong)
