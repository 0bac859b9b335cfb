"""How this process uses the machine's cores for tensors: ``prepare`` once, when an engine loads; ``prepare_thread`` in
each thread that runs one.
"""

import os
from pathlib import Path

import torch

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_COMPILED = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT"
_KEPT_COMPILED = 512
"""A pass of LaMa needs some twenty for each size of window; oneDNN's 512 take about 50 MB."""


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and in a container its quota, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
    except (OSError, ValueError):
        return cores  # no cgroup v2 here
    return cores if quota == "max" else min(cores, max(1, -(-int(quota) // int(period))))


def prepare(threads: int) -> int:
    """``threads`` 0: all usable cores. Returns how many are used.

    Ray tells a worker to use as many threads as the CPUs it was scheduled with, which is one: other work on the
    replica's node is light, and an engine that runs one window at a time leaves the other cores idle.
    """
    count = threads or usable_cores()
    torch.set_num_threads(count)
    prepare_thread()
    _keep_compiled()
    return count


def prepare_thread() -> None:
    """Before its first work with tensors: torch's helpers of a thread start with the thread's own floating-point mode.

    Fills of flat areas have values next to zero, which processors are many times slower with.
    """
    torch.set_flush_denormal(True)


def _keep_compiled() -> None:
    """oneDNN compiles each operation for its sizes and keeps the latest, as cuDNN does its plans. IOPaint tells both to
    keep one, which leaves none for the next pass: a third of a millisecond for every operation of every layer.

    The number is read at the first operation, so this one comes before anything imports IOPaint, or in spite of it.
    """
    for variable in _COMPILED:
        os.putenv(variable, str(_KEPT_COMPILED))
    if torch._C._has_mkldnn:
        torch.ones(1, 1, 8, 8).to_mkldnn()


def has_avx512() -> bool:
    return bool(torch.cpu.get_capabilities().get("avx512_f"))


def fused_convolutions(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and has such convolutions for this processor."""
    if not torch._C._has_mkldnn:
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones (AMX, AVX512-BF16)."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
