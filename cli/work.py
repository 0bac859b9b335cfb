"""``remove`` and ``batch``: pictures in, cleaned pictures out."""

import asyncio
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from iopaint_client import (
    AsyncClient,
    ConnectionFailed,
    Options,
    Picture,
    RegionInput,
    TextOptions,
    TextRemovalClientError,
    Unauthorized,
    WorkOptions,
)
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import parameters, regions
from cli.output import AsJson, Target, err, out

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_AT_A_TIME = 8

Region = Annotated[
    list[str] | None, typer.Option("--region", "-r", help="x,y,width,height or corners 'x,y x,y x,y'; repeatable.")
]
Model = Annotated[str | None, typer.Option(help="Model; the service's default if not given.")]
Format = Annotated[Literal["png", "jpeg", "webp"] | None, typer.Option("--format", help="Format of the result.")]
MaskMode = Annotated[
    Literal["box", "strokes", "auto"] | None,
    typer.Option(help="What of a region goes: all, its letters, or as is surer."),
]
Quality = Annotated[int | None, typer.Option(min=1, max=100, help="Of jpeg and webp.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any other parameter, as /docs names it; repeatable."),
]
Image = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture.")]


def remove(
    context: typer.Context,
    image: Image,
    region: Region = None,
    mask: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="White marks what goes.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the result goes.")] = None,
    model: Model = None,
    output_format: Format = None,
    quality: Quality = None,
    mask_mode: MaskMode = None,
    others: Set = None,
    as_json: AsJson = False,
) -> None:
    """Remove what regions or a mask mark from one picture; without either, the text that the service finds."""
    if region and mask is not None:
        raise typer.BadParameter("give --region (as often as needed), or --mask, or neither to have the text found")
    finds = not region and mask is None
    chosen = _options(model, output_format or _format_of(output), quality, mask_mode, others, finds)
    target: Target = context.obj
    with target.client() as client:
        if mask is not None:
            picture = client.inpaint(image, mask, **cast("Options", chosen))
        else:
            drawn = [regions.parse(one) for one in region] if region else None
            picture = client.remove_text(image, drawn, **chosen)
    path = picture.save(output or image.with_name(f"{image.stem}-clean.{_suffix(picture)}"))
    if as_json:
        told = {"path": str(path), "model": picture.model, "processing_time_s": picture.processing_time_s}
        typer.echo(json.dumps(told | {"notes": picture.notes}))
        return
    out().print(f"{path}: {picture.model}, {picture.processing_time_s} s", soft_wrap=True)
    if picture.notes:
        err().print(picture.notes, soft_wrap=True)


def batch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Its pictures are cleaned.")],
    region: Region = None,
    regions_file: Annotated[
        Path | None, typer.Option("--regions", exists=True, help="JSON: regions for each file name.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the results.")] = None,
    model: Model = None,
    output_format: Format = None,
    quality: Quality = None,
    mask_mode: MaskMode = None,
    others: Set = None,
    as_json: AsJson = False,
    again: Annotated[bool, typer.Option("--again", help="Also pictures whose result is there already.")] = False,
) -> None:
    """Clean every picture of a folder, each as a task; without regions, of the text that the service finds.

    A run that was broken off goes on where it was. Pictures that differ only in their suffix have results by their full
    names: a.jpg.png, a.png.png."""
    chosen = _options(model, output_format, quality, mask_mode, others, not region and regions_file is None)
    target: Target = context.obj
    shared = [regions.parse(one) for one in region] if region else None
    named = regions.from_file(regions_file) if regions_file else {}
    whole = Path(os.path.abspath(folder))  # "." and ".." have no name of their own
    into = output or whole.with_name(f"{whole.name}-clean")
    suffix = _file_suffix(output_format or "png")
    todo = {
        path: (into / f"{name}.{suffix}", named.get(path.name, shared))
        for path, name in _names(sorted(folder.iterdir())).items()
        if again or not (into / f"{name}.{suffix}").exists()
    }
    if regions_file and (without := [path.name for path, (_, found) in todo.items() if not found]):
        raise typer.BadParameter(f"no region is given for {', '.join(without[:5])}")
    into.mkdir(parents=True, exist_ok=True)
    if todo:
        with target.client() as client:
            client.health()  # nobody there: told in a second, not once for each picture
    failed = asyncio.run(_clean_all(target, todo, chosen))
    if as_json:
        made = {path.name: str(result) for path, (result, _) in todo.items() if path.name not in failed}
        typer.echo(json.dumps({"cleaned": made, "failed": failed}))
    else:
        out().print(f"{len(todo) - len(failed)} cleaned, {len(failed)} failed; results in {into}", soft_wrap=True)
        for name, why in failed.items():
            err().print(f"{name}: {why}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def detect(context: typer.Context, image: Image, others: Set = None, as_json: AsJson = False) -> None:
    """Show the lines of text in a picture: how sure each is, and its corners as --region takes them."""
    chosen = cast("TextOptions", parameters.parse(others, TextOptions))
    target: Target = context.obj
    with target.client() as client:
        lines = client.detect_text(image, **chosen)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines]))
        return
    for line in lines:
        out().print(f"{line.score:.2f}  {' '.join(f'{x:g},{y:g}' for x, y in line.points)}", soft_wrap=True)
    if not lines:
        err().print("No text was found.")


async def _clean_all(
    target: Target, todo: dict[Path, tuple[Path, list[RegionInput] | None]], options: WorkOptions
) -> dict[str, str]:
    """What failed, by name. Raises what would fail with every picture alike; what is done stays."""
    failed: dict[str, str] = {}
    places = asyncio.Semaphore(_AT_A_TIME)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err()) as shown:
        bar = shown.add_task("Cleaning", total=len(todo))
        async with AsyncClient(target.url, api_key=target.api_key) as client:

            async def one(path: Path, into: Path, found: list[RegionInput] | None) -> None:
                async with places:
                    try:
                        task = await client.submit(path, found, **options)
                        await asyncio.to_thread((await task.result()).save, into)
                    except Unauthorized:
                        raise
                    except (TextRemovalClientError, OSError) as error:
                        if isinstance(error, ConnectionFailed):
                            await client.health()  # answers where only this picture's connection was cut
                        failed[path.name] = str(error)
                    shown.advance(bar)

            try:
                async with asyncio.TaskGroup() as group:
                    for path, (into, found) in todo.items():
                        group.create_task(one(path, into, found))
            except ExceptionGroup as several:
                raise several.exceptions[0] from None
    return dict(sorted(failed.items()))


def _names(files: list[Path]) -> dict[Path, str]:
    """What the result of each picture is called, without its suffix: the same in each run, and each another. ``a.jpg``
    beside ``a.png`` keeps its suffix in it; so does ``A.jpg``, for file systems that see no difference."""
    names = {path: path.stem for path in files if path.suffix.lower() in _SUFFIXES}
    while True:
        used = Counter(name.casefold() for name in names.values())
        shared = [path for path, name in names.items() if used[name.casefold()] > 1 and name != path.name]
        if not shared:
            return names
        names |= {path: path.name for path in shared}


def _options(
    model: str | None,
    output_format: Literal["png", "jpeg", "webp"] | None,
    quality: int | None,
    mask_mode: Literal["box", "strokes", "auto"] | None,
    others: list[str] | None,
    finds_text: bool,
) -> WorkOptions:
    """Raises ``typer.BadParameter``; what says which text counts is for calls that find it."""
    named = {"model": model, "output_format": output_format, "quality": quality, "mask_mode": mask_mode}
    given = parameters.parse(others, WorkOptions if finds_text else Options) | {
        name: value for name, value in named.items() if value is not None
    }
    return cast("WorkOptions", given)


def _format_of(path: Path | None) -> Literal["jpeg", "webp"] | None:
    suffix = path.suffix.lower() if path else ""
    return "jpeg" if suffix in (".jpg", ".jpeg") else "webp" if suffix == ".webp" else None


def _suffix(picture: Picture) -> str:
    return _file_suffix(picture.media_type.removeprefix("image/"))


def _file_suffix(kind: str) -> str:
    return "jpg" if kind == "jpeg" else kind
