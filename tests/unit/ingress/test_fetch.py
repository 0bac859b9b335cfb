"""``scripts/fetch_weights`` as a build of an image runs it, against servers on loopback."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ingress.fetch import main
from models.hub import PipelineStore, baked_pipelines
from tests.support.hub_server import serving
from tests.support.lama import save
from tests.support.pipelines import save_sd

UNET, UNET_FP16 = (f"unet/diffusion_pytorch_model{variant}.safetensors" for variant in ("", ".fp16"))
THRICE = """
from ingress.fetch import main
print("returned", [main(["--bake", "lama", *more]) for more in ([], ["some/painter"], ["some/painter"])])
"""


def test_models_are_baked_where_no_volume_hides_them_even_after_a_download_that_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, because the hub's library reads ``HF_ENDPOINT`` once."""
    repository = save_sd(tmp_path / "hub" / "some" / "painter")
    shutil.copy(repository / UNET, repository / UNET_FP16)
    save(tmp_path / "hub" / "big-lama.pt", base=16, blocks=2)
    cache, volume = tmp_path / "torch", tmp_path / "volume"
    with serving(tmp_path / "hub") as hub:
        hub.failing = {UNET_FP16}
        environment = os.environ | {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(volume), "MODEL_DIR": str(volume), "TORCH_HOME": str(cache),
            "LAMA_MODEL_URL": f"{hub.url}/big-lama.pt", "LAMA_MODEL_MD5": "", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        thrice = [sys.executable, "-c", THRICE]
        run = subprocess.run(thrice, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert "returned [0, 1, 0]" in run.stdout, run.stderr
    assert "some/painter: the pipeline some/painter could not be downloaded" in run.stderr
    assert run.stdout.count("lama: ready, sha256") == 3
    # Half of it was there after the first attempt, index and all, and was not fetched again.
    assert hub.sent[UNET_FP16] == 1
    assert hub.sent["model_index.json"] == hub.sent["vae/config.json"] == hub.sent["big-lama.pt"] == 1
    assert UNET not in hub.sent, "float16 files are preferred"
    assert {path.suffix for path in volume.rglob("*") if path.is_file()} == {".txt"}, "the hub's library notes versions"

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(cache / "hub"))
    folder = PipelineStore(volume).find("some/painter")
    assert folder is not None
    assert folder.is_relative_to(baked_pipelines())
    assert not list(cache.rglob("*.lock"))
    assert all(path.stat().st_mode & stat.S_IROTH for path in cache.rglob("*"))
    (folder / "tokenizer" / "merges.txt").unlink()
    assert PipelineStore(volume).find("some/painter") is None, "not to the end"


def test_what_cannot_be_had_fails_the_build_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("LAMA_MODEL_URL", "http://127.0.0.1:9/big-lama.pt")
    assert main(["--bake", "auto"]) == 1
    assert "lama: the weights of lama could not be downloaded from 127.0.0.1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--bake", "lamma"])
    assert "'lamma' has no weights to fetch" in capsys.readouterr().err
