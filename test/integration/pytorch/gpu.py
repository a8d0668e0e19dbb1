"""A job that uses examples/ezpz_cuda.py on a GPU that is none: torch is real, its device is the tests' own CUDA driver, whose
memory this process and the reader share. What it cannot show is the order of a real device's work.

    gpu.py DTYPE STEPS SLOTS SECONDS EXPECTED    so long between two steps; what the values are goes to EXPECTED
"""

import contextlib
import ctypes
import json
import math
import os
import sys
import time

import torch

examples, dtype, steps, slots, seconds, expected = sys.argv[1:]
sys.path.insert(0, examples)

TAG = 0x4000000000000000
cuda = ctypes.CDLL("libcuda.so.1")
assert cuda.cuInit(0) == 0
context = ctypes.c_void_p()
assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cuda.cuCtxSetCurrent(context) == 0


class Event:
    """It has come when its file is there."""

    def __init__(self, enable_timing, interprocess):
        assert interprocess and not enable_timing
        self.path = os.path.join(os.environ["FAKE_CUDA_SHARED"], "event")

    def record(self):
        open(self.path, "w").close()

    def ipc_handle(self):
        return self.path.encode().ljust(64, b"\0")


def as_tensor(memory, device):
    assert device == "cuda:0"
    told = memory.__cuda_array_interface__
    (size,) = told["shape"]
    assert told["typestr"] == "|u1" and told["data"][1] is False and size % (2 * 1024 * 1024) == 0
    return torch.frombuffer((ctypes.c_ubyte * size).from_address(told["data"][0] ^ TAG), dtype=torch.uint8)


torch.cuda.is_available = lambda: True
torch.cuda.current_device = lambda: 0
torch.cuda.device = lambda index: contextlib.nullcontext()
torch.cuda.synchronize = lambda index: None
torch.cuda.Event = Event
torch.as_tensor = as_tensor
zeros = torch.zeros
torch.zeros = lambda *size, device=None: zeros(*size)

import ezpz_cuda  # noqa: E402

kind = getattr(torch, dtype)
keys = [f"m/{i}" for i in range(5)]
metrics = ezpz_cuda.Metrics(keys, dtype=kind, slots=int(slots))
assert metrics.on_device
generator = torch.Generator().manual_seed(3)
with open(expected, "w") as file:
    for step in range(1, int(steps) + 1):
        values = (torch.randn(5, generator=generator) * 100).to(kind)
        values[0] = math.nan
        values[1] = -math.inf
        metrics.log(step, {**dict(zip(keys, values)), "lr": 0.5, "bad": math.inf})
        told = [v if math.isfinite(v) else "NaN" if math.isnan(v) else "-Infinity" for v in values.double().tolist()]
        print(json.dumps({**dict(zip(keys, told)), "lr": 0.5, "bad": "Infinity"}), file=file)
        time.sleep(float(seconds))
