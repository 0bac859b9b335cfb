"""Which of the ``sd_*`` parameters a model reads, and whether they make sense to it."""

from models.catalog import LDM_MAX_STEPS, LDM_SAMPLERS, SAMPLERS, is_diffusion
from models.errors import InvalidField
from models.job import DiffusionOptions


def check(model: str, options: DiffusionOptions) -> None:
    """Raises ``InvalidField``. Models that read none of them take any: the original's clients always send them."""
    if model == "ldm":
        sampler_of(options.sampler, LDM_SAMPLERS)
        if options.steps > LDM_MAX_STEPS:
            raise InvalidField(f"sd_steps: ldm takes at most {LDM_MAX_STEPS}.", field="sd_steps")
    elif is_diffusion(model):
        sampler_of(options.sampler, SAMPLERS)
        if int(options.steps * options.strength) < 1:
            raise InvalidField(
                f"sd_strength: with sd_steps {options.steps} at least {1 / options.steps:.3g} is needed for one step.",
                field="sd_strength",
            )


def sampler_of(asked: str, allowed: tuple[str, ...]) -> str:
    """IOPaint's spelling of a sampler's name, whose case does not matter."""
    for name in allowed:
        if name.lower() == asked.strip().lower():
            return name
    raise InvalidField(f"sd_sampler: {asked[:40]!r} is unknown. Allowed are: {', '.join(allowed)}.", field="sd_sampler")
