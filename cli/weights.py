"""Which weights files are here, and fetching them."""

from collections.abc import Sequence

import typer
from rich.table import Table

from cli.output import out
from ingress.settings import from_environment
from models.catalog import is_diffusion
from models.hub import PipelineStore
from models.registry import is_known, known_models, needed_files
from models.weights import WeightsStore


def show() -> None:
    settings = from_environment()
    store, pipelines = WeightsStore(settings.model_dir), PipelineStore(settings.model_dir)
    table = Table("Model", "File", "Here")
    for model in known_models():
        if is_diffusion(model):
            table.add_row(model, "a folder", str(pipelines.find(model) or "missing"))
            continue
        files = needed_files(model, settings.weights_sources)
        if not files:
            table.add_row(model, "none needed", "")
        for file in files:
            table.add_row(model, file.name, str(store.find(file) or "missing"))
    out().print(table)


def fetch(models: Sequence[str]) -> None:
    settings = from_environment()
    store = WeightsStore(settings.model_dir)
    if unknown := [model for model in models if not is_known(model)]:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; known are {', '.join(known_models())}")
    for model in models:
        if is_diffusion(model):
            out().print(f"{model}: {PipelineStore(settings.model_dir).ensure(model)}", soft_wrap=True)
            continue
        files = needed_files(model, settings.weights_sources)
        if not files:
            out().print(f"{model} needs no weights")
        for file in files:
            out().print(f"{model}: {store.ensure(model, file)}", soft_wrap=True)
