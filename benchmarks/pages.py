"""Pages that a real browser renders twice, with their text and with it transparent, and the boxes of their lines.

Needs Chromium (Debian: ``apt-get install chromium fonts-noto-cjk``). Each page is then also seen askew, blurred and
compressed.
"""

import json
import re
import subprocess
import tempfile
from html import unescape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.backgrounds import BACKGROUNDS
from benchmarks.pairs import VISIBLE_LEVELS, Pair, jpeg, jpeg_file, opened
from models.engine import Image
from models.geometry import Box

WIDTH, HEIGHT = 800, 600
VARIANTS = ("clean", "jpeg", "blurred", "perspective")
_LOREM = (
    "Removing letters from a picture leaves what was behind them. Nobody sees where the words once stood, "
    "neither on paper nor on a painted wall; prices, names and dates go first, and the rest of the page stays. "
)
_JA = "ここには何もなかったように見える。文字だけが消える。"

_STYLE = """html,body{margin:0;width:800px;height:600px;overflow:hidden;background:#fff;font-family:'DejaVu Sans'}
.gone *,.gone{color:transparent!important;text-shadow:none!important;-webkit-text-stroke-color:transparent!important;
text-decoration-color:transparent!important}"""
_SCRIPT = """document.fonts.ready.then(()=>{const out=[];
const walk=document.createTreeWalker(document.body,NodeFilter.SHOW_TEXT);
while(walk.nextNode()){if(!walk.currentNode.data.trim())continue;
if(['SCRIPT','PRE'].includes(walk.currentNode.parentNode.nodeName))continue;
const range=document.createRange();range.selectNodeContents(walk.currentNode);
for(const r of range.getClientRects())if(r.width>2&&r.height>2)out.push([r.left,r.top,r.right,r.bottom])}
const pre=document.createElement('pre');pre.id='boxes';pre.style.display='none';
pre.textContent=JSON.stringify(out);document.body.append(pre)})"""


def _document() -> str:
    return f"<div style='padding:40px 60px;font:17px/1.35 \"DejaVu Serif\"'><h2>Annual report</h2>{_LOREM * 4}</div>"


def _slide() -> str:
    return (
        "<div style='height:600px;background:linear-gradient(135deg,#123c7c,#6a2c91);color:#fff;padding:60px;"
        "box-sizing:border-box'><h1 style='font-size:52px;margin:0 0 30px'>Quarterly results</h1>"
        "<ul style='font-size:27px;line-height:1.7'><li>Revenue +12 %<li>Two new plants"
        "<li style='color:#ffd447'>Outlook: unchanged</ul></div>"
    )


def _web_page() -> str:
    cards = "".join(
        f"<div style='background:{c};border:1px solid #ccc;border-radius:8px;padding:14px;width:200px'>"
        f"<b>Offer {i}</b><p style='font-size:14px;color:#555'>{_LOREM[:90]}</p>"
        "<span style='background:#0a7;color:#fff;padding:5px 12px;border-radius:5px'>Buy now</span></div>"
        for i, c in enumerate(("#fff", "#f3f6ff", "#fff7e6"))
    )
    return (
        "<div style='background:#22303f;color:#eee;padding:16px 30px;font-size:22px'>Shop &nbsp; News &nbsp; Help</div>"
        f"<div style='display:flex;gap:24px;padding:30px'>{cards}</div><p style='padding:0 30px'>{_LOREM}</p>"
    )


def _poster() -> str:
    return (
        "<div style='height:600px;background:radial-gradient(circle,#ffe08a,#e8542f);text-align:center'>"
        "<div style='padding-top:70px;font:bold 84px \"DejaVu Sans\";color:#fff;-webkit-text-stroke:3px #7a1010'>"
        "SUMMER</div><div style='font:bold 60px \"DejaVu Serif\";color:#132a63;text-shadow:3px 3px 4px #0007'>"
        "Festival</div><div style='transform:rotate(-6deg);font-size:32px;margin-top:60px;color:#401'>"
        "12 July, free entry</div></div>"
    )


def _signs() -> str:
    def sign(colour: str, ground: str, words: str) -> str:
        return (
            f"<div style='border:5px solid {colour};background:{ground};color:{colour};padding:5px 12px;"
            f'margin:24px 40px;font:bold 38px "DejaVu Sans";width:max-content\'>{words}</div>'
        )

    return (
        "<div style='height:600px;background:#9aa38f;padding-top:1px'>" + sign("#c00", "#fff", "NO PARKING")
        + sign("#fff", "#0a4d9b", "Exit 24 North") + sign("#111", "#fc0", "Caution: wet floor")
        + sign("#063", "#e9f5e9", "Gate 7") + "</div>"
    )  # fmt: skip


def _subtitles() -> str:
    return (
        "<div style='height:600px;background:url(photo.png);position:relative'><div style='position:absolute;"
        'bottom:36px;width:800px;text-align:center;font:bold 32px "DejaVu Sans";color:#fff;'
        "text-shadow:-2px -2px 0 #000,2px -2px 0 #000,-2px 2px 0 #000,2px 2px 0 #000'>"
        "Where did all the letters go?<br>Nobody knows.</div></div>"
    )


def _comic() -> str:
    def balloon(x: int, y: int, words: str) -> str:
        return (
            f"<div style='position:absolute;left:{x}px;top:{y}px;width:180px;height:230px;border:3px solid #000;"
            "border-radius:50%;background:#fff;display:flex;align-items:center;justify-content:center'>"
            "<span style='writing-mode:vertical-rl;height:150px;font:bold 22px/1.3 \"Noto Sans CJK JP\"'>"
            f"{words}</span></div>"
        )

    return (
        "<div style='height:600px;background:url(tone.png);position:relative'>" + balloon(60, 40, _JA)
        + balloon(520, 60, _JA[9:]) + balloon(300, 320, _JA[:17]) + "</div>"
    )  # fmt: skip


def _dense() -> str:
    lines = "".join(
        f"<tr><td>{n}</td><td>{_LOREM[n : n + 34]}</td><td>{n * 37 % 91}.50</td></tr>" for n in range(1, 34)
    )
    return (
        f"<table style='font:13px/1.05 \"DejaVu Sans Mono\";border-spacing:12px 0;background:#fdfaf2'>{lines}</table>"
    )


PAGES = {
    "document": _document, "slide": _slide, "web page": _web_page, "poster": _poster, "signs": _signs,
    "subtitles": _subtitles, "comic": _comic, "dense lines": _dense,
}  # fmt: skip


def browser_pairs(browser: str = "chromium", seed: int = 7) -> list[Pair]:
    """Each page in each variant. Raises ``OSError`` or ``subprocess.SubprocessError`` where no browser works."""
    pairs: list[Pair] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(seed)
        for picture, kind in (("photo.png", "photograph"), ("tone.png", "tone")):
            cv2.imwrite(str(folder / picture), BACKGROUNDS[kind](rng, HEIGHT, WIDTH)[..., ::-1])
        for kind, body in PAGES.items():
            before = _shoot(browser, folder, body(), gone=False)
            truth = _shoot(browser, folder, body(), gone=True)
            boxes = _boxes(browser, folder)
            pairs += [_variant(kind, style, before, truth, boxes, rng) for style in VARIANTS]
    return pairs


def _run(browser: str, folder: Path, *arguments: str) -> str:
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1", "--disable-lcd-text",
        "--allow-file-access-from-files", "--virtual-time-budget=2000",
    )  # fmt: skip
    command = [browser, *flags, f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},{HEIGHT + 200}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


def _shoot(browser: str, folder: Path, body: str, gone: bool) -> Image:
    page, picture = folder / "page.html", folder / "page.png"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><body class={'gone' if gone else 'seen'}>{body}"
        f"<script>{_SCRIPT}</script>"
    )
    _run(browser, folder, f"--screenshot={picture}", page.as_uri())
    return np.asarray(Pillow.open(picture).convert("RGB"))[:HEIGHT, :WIDTH].copy()


def _boxes(browser: str, folder: Path) -> list[Box]:
    dom = _run(browser, folder, "--dump-dom", (folder / "page.html").as_uri())
    found = re.search(r'<pre id="boxes"[^>]*>(.*?)</pre>', dom, re.S)
    if found is None:
        raise OSError("The browser did not run the page's script.")
    lines = [Box(int(a), int(b), int(c + 1), int(d + 1)) for a, b, c, d in json.loads(unescape(found[1]))]
    return [box.clip(WIDTH, HEIGHT) for box in lines if box.clip(WIDTH, HEIGHT).area]


def _variant(kind: str, style: str, before: Image, truth: Image, boxes: list[Box], rng: np.random.Generator) -> Pair:
    if style == "perspective":
        matrix = _askew(rng)
        before, truth = _warp(before, matrix), _warp(truth, matrix)
        boxes = [_warped_box(box, matrix) for box in boxes]
    elif style == "blurred":
        before, truth = _blurred(before), _blurred(truth)
    strokes: NDArray[np.bool_] = np.abs(before.astype(np.int16) - truth).max(2) > VISIBLE_LEVELS
    file = jpeg_file(before, 80) if style == "jpeg" else None
    if file:
        before, truth = opened(file), jpeg(truth, 80)
    visible = [box for box in boxes if strokes[box.top : box.bottom, box.left : box.right].any()]
    return Pair(f"{kind}-{style}", kind, style, before, truth, strokes, tuple(visible), file)


def _blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.1), np.uint8)


def _askew(rng: np.random.Generator) -> NDArray[np.float64]:
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    moved = (corners + rng.uniform(-35, 35, (4, 2))).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)


def _warp(image: Image, matrix: NDArray[np.float64]) -> Image:
    size = (WIDTH, HEIGHT)
    return np.asarray(cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _warped_box(box: Box, matrix: NDArray[np.float64]) -> Box:
    corners = np.array([[[box.left, box.top], [box.right, box.top], [box.right, box.bottom], [box.left, box.bottom]]])
    moved = cv2.perspectiveTransform(corners.astype(np.float32), matrix)[0]
    low, high = np.floor(moved.min(0)), np.ceil(moved.max(0))
    return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1])).clip(WIDTH, HEIGHT)
