"""The figures of ``docs/performance.md``: written between two marks, from what was measured last."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from benchmarks.speed.resident import ALLOWED, SETTLED
from benchmarks.speed.servers import STATE, Ours, Theirs
from tests.support.service import ROOT

Found = dict[str, Any]
"""What one part of the benchmark measured."""

_PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- figures: written by scripts/benchmark report -->", "<!-- end of figures -->"


def write(console: Console) -> None:
    """Parts that were not measured on this machine are left out, and named."""
    text = "\n\n".join(_section(part, *section) for part, section in _SECTIONS.items())
    before, rest = _PAGE.read_text().split(_BEGIN)
    after = rest.split(_END)[1]
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}")
    tools = subprocess.run(
        [ROOT / "scripts" / "setup_plots"], check=True, capture_output=True, text=True
    ).stdout.strip()
    plot = [ROOT / tools / "bin/python", ROOT / "benchmarks/speed/plot.py", STATE, ROOT / "docs/images/performance.png"]
    subprocess.run([str(part) for part in plot], check=True)
    console.print(f"Written: {_PAGE.relative_to(ROOT)}, docs/images/performance.png")


def _engine(found: Found) -> Iterator[str]:
    rates = found["matmul_tflops"]
    yield (
        f"{found['device']}, {found['threads']} threads; one line of text (a twentieth of the picture) is masked, and "
        "ours makes the last layers' pixels only around it. Medians, all in turn. The machine multiplies matrices at "
        f"{rates['float32']:.2f} (float32) and {rates['bfloat16']:.2f} (bfloat16) TFLOPS; the share is that of the "
        "convolutions' operations a second, counted as TorchScript does them (ours need fewer: it can pass 100%), "
        "Fourier transforms and copies not counted as work."
    )
    yield ""
    yield "| pixels | TorchScript as IOPaint runs it | ours, float32 | | share | ours, bfloat16 | | share |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for row in found["rows"]:
        cells = [f"{row['size']}²", f"{row['torchscript_s']:.2f} s"]
        for precision in ("float32", "bfloat16"):
            seconds = row[f"{precision}_s"]
            if seconds is None:
                cells += ["-", "-", "-"]
                continue
            share = row["tera_operations"] / seconds / rates[precision]
            cells += [f"{seconds:.2f} s", f"**{row['torchscript_s'] / seconds:.1f}x**", f"{share:.0%}"]
        yield f"| {' | '.join(cells)} |"


def _http(found: Found) -> Iterator[str]:
    rows = found["rows"]
    original = {
        row["size"]: row["seconds"] for row in rows if (row["server"], row["strategy"]) == (Theirs.name, "Original")
    }
    crop = {
        (row["size"], row["regions"]): row["seconds"]
        for row in rows
        if (row["server"], row["strategy"]) == (Theirs.name, "Crop")
    }
    yield "| pixels | lines | server | strategy | seconds | against IOPaint's Original | against its Crop |"
    yield "|---|--:|---|---|--:|--:|--:|"
    for row in rows:
        ours = row["server"] == Ours.name
        against_original = f"{original[row['size']] / row['seconds']:.1f}x" if ours and row["size"] in original else ""
        its_crop = crop.get((row["size"], row["regions"]))
        against_crop = f"{its_crop / row['seconds']:.1f}x" if ours and its_crop else ""
        cells = (
            f"{row['size']}²",
            row["regions"],
            row["server"],
            row["strategy"],
            f"{row['seconds']:.2f}",
            against_original,
            against_crop,
        )
        yield f"| {' | '.join(str(cell) for cell in cells)} |"
    yield ""
    if "whole_mb" not in found:
        theirs, replica = (found["resident_mb"][name] for name in (Theirs.name, Ours.name))
        yield (
            f"Resident afterwards: {Theirs.name} {theirs:.0f} MB, of {Ours.name} the model replica only {replica:.0f} "
            "MB; all of its processes together held 3.1 GiB in another measurement ([drills](operations.md#drills)). "
            "Both will be measured whole next time."
        )
        return
    whole = ", ".join(f"{name} {value:.0f} MB" for name, value in found["whole_mb"].items())
    yield (
        f"Memory of all processes afterwards, what they share counted once: {whole}, of which the model replica "
        f"{found['replica_mb']:.0f} MB."
    )


def _clients(found: Found) -> Iterator[str]:
    theirs = found["rows"][0]["per_second"]
    yield "| server | calls a second | | median | longest | longest / fair share |"
    yield "|---|--:|--:|--:|--:|--:|"
    for row in found["rows"]:
        yield (
            f"| {row['server']} | {row['per_second']:.2f} | {row['per_second'] / theirs:.1f}x "
            f"| {row['median_s']:.1f} s | {row['longest_s']:.1f} s | {row['longest_s'] / row['fair_share_s']:.2f} |"
        )


def _stages(found: Found) -> Iterator[str]:
    yield "PNG in base64 in, PNG out; seconds. *HTTP and Ray*: what the client waits beyond the replica's own work."
    yield ""
    yield "| pixels | strategy | decode | mask | network | encode | HTTP and Ray | all but network | of network |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for row in found["rows"]:
        others = row["decode"] + row["mask"] + row["encode"] + row["transport"]
        parts = [f"{row[part]:.3f}" for part in ("decode", "mask", "inpaint", "encode", "transport")]
        cells = [f"{row['size']}²", row["strategy"], *parts, f"{others:.2f}", f"{others / row['inpaint']:.0%}"]
        yield f"| {' | '.join(cells)} |"


def _scaling(found: Found) -> Iterator[str]:
    yield "`Auto`, decode to encode, no service around it. The last rows have one line of 300 x 24 px."
    yield ""
    yield "| pixels | lines | windows | megapixels run | seconds |"
    yield "|---|--:|--:|--:|--:|"
    for row in found["rows"]:
        known = f"{row['regions']} | {row['windows']} | {row['megapixels']:.2f}" if row["regions"] else "1 small | 1 | "
        yield f"| {row['size']}² | {known} | {row['seconds']:.2f} |"


def _memory(found: Found) -> Iterator[str]:
    sizes = found["resident_mb"]
    later, own = sizes[SETTLED - 1 :], found["own_mb"][SETTLED - 1 :]
    yield (
        f"{found['calls']} calls one after the other, each {found['size']}² with {found['regions']} lines, "
        f"`{found['strategy']}`; the model replica after each: {sizes[0]:.0f} MB after the first, "
        f"{found['settled_mb']:.0f} MB after the fifth, then {min(later):.0f} to {max(later):.0f} MB. The farthest "
        f"from the fifth is {found['worst']:+.1%} ({ALLOWED:.0%} are allowed). Without the pages that it "
        f"shares with the node's object store: {min(own):.0f} to {max(own):.0f} MB from the fifth on."
    )


def _neighbours(found: Found) -> Iterator[str]:
    alone = found["rows"][0]["seconds"]
    yield (
        f"A pass at {found['size']}² with {found['threads']} threads, beside a process that works and sleeps in turn. "
        "The threads share each layer and wait for the slower one, so a neighbour costs twice what it takes."
    )
    yield ""
    yield "| neighbour's share of one core | seconds | |"
    yield "|--:|--:|--:|"
    for row in found["rows"]:
        yield f"| {row['share']:.0%} | {row['seconds']:.2f} | {row['seconds'] / alone:.2f}x |"


def _encoders(found: Found) -> Iterator[str]:
    yield (
        f"CPU time of one core, best of five; photographs of {found['side']}². *Read*: by Pillow, as a client may. "
        "IOPaint writes with Pillow."
    )
    yield ""
    yield "| picture | encoder | ms | read, ms | MB |"
    yield "|---|---|--:|--:|--:|"
    for row in found["rows"]:
        yield (f"| {row['picture']} | {row['encoder']} | {row['ms']:.0f} | {row['read_ms']:.0f} | {row['mb']:.2f} |")


def _section(part: str, title: str, lines: Callable[[Found], Iterator[str]]) -> str:
    found = _found_over_http() if part == "http" else _found(part)
    said = [f"Not measured on this machine (`{_command(part)}`)."] if found is None else lines(found)
    return "\n".join((f"### {title}", "", *said))


def _command(part: str) -> str:
    name, _, rest = part.partition("-")
    return f"IOPAINT_PRECISION=float32 scripts/benchmark {name}" if rest else f"scripts/benchmark {name}"


def _found(part: str) -> Found | None:
    path = STATE / f"{part}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _found_over_http() -> Found | None:
    """Each size is measured by itself; the memory is that of the last."""
    sizes = [found for size in (512, 1024, 2048) if (found := _found(f"http-{size}")) is not None]
    return sizes[-1] | {"rows": [row for found in sizes for row in found["rows"]]} if sizes else None


_SECTIONS: dict[str, tuple[str, Callable[[Found], Iterator[str]]]] = {
    "engine": ("(a) The engine alone", _engine),
    "http": ("(b) Over HTTP, one client", _http),
    "clients": ("Eight clients, 512², Original", _clients),
    "http-512-float32": ("One client, 512², in float32", _http),
    "clients-float32": ("Eight clients, 512², Original, in float32", _clients),
    "stages": ("(d) Where the time of one call goes", _stages),
    "scaling": ("(c) By regions and by pixels", _scaling),
    "memory": ("(e) Resident memory", _memory),
    "neighbours": ("(f) What neighbours cost", _neighbours),
    "encoders": ("(g) Writing PNG", _encoders),
}
