"""Metrics that stay on the GPU: ezpz-stream reads them there, and the training does not wait for its device.

    import ezpz_cuda

    metrics = ezpz_cuda.Metrics(["loss", "grad_norm"])
    for step in range(steps):
        ...
        metrics.log(step, {"loss": loss, "grad_norm": norm, "lr": 1e-3})

`loss` and `norm` are tensors on the device. Their values are copied on the device, in the order of its work; what is printed
for ezpz-stream is where they are, and an event that says when they are there. Plain numbers (`lr`) are printed as they are.

A place is used again after `slots` steps. It carries a mark with the number of its step: who reads too late sees another one, and
refuses the record. Nothing but torch is needed. Without a GPU the values themselves are printed.
"""

import atexit
import base64
import ctypes
import json
import math
import sys
import time

import torch

_NAMES = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16", torch.float16: "f16"}
_WIDTHS = {torch.float32: 4, torch.float64: 8, torch.bfloat16: 2, torch.float16: 2}

# Allocations of this size are shared whole, and nothing else with them.
_GRANULE = 2 * 1024 * 1024


class Metrics:
    """Prints where the values of `keys` are, a line a step."""

    def __init__(self, keys, dtype=torch.float32, slots=256, device=None, out=None):
        self.keys = list(keys)
        self.dtype = dtype
        self._out = out or sys.stdout
        self._count = 0
        self._slots = slots
        self._memory = None
        if torch.cuda.is_available() and (device is None or torch.device(device).type == "cuda"):
            index = torch.device(device or "cuda").index
            self._open(torch.cuda.current_device() if index is None else index)

    @property
    def on_device(self):
        """Whether values stay on the device."""
        return self._memory is not None

    def log(self, step, values, **more):
        """Logs tensors of one value each, by their keys; numbers beside them are ordinary metrics."""
        tensors = {}
        for key, value in values.items():
            if torch.is_tensor(value):
                tensors[key] = value
            else:
                more[key] = value
        if set(tensors) != set(self.keys):
            raise ValueError(f"the tensors must be {self.keys}, not {list(tensors)}")
        self.log_all(step, torch.stack([tensors[key].detach().reshape(()).to(self.dtype) for key in self.keys]), **more)

    def log_all(self, step, values, **more):
        """Logs one tensor with all values, in the order of the keys."""
        record = "".join(f",{json.dumps(key)}:{_number(value)}" for key, value in more.items())
        if self._memory is None:
            numbers = values.detach().double().cpu().tolist()
            record = "".join(f",{json.dumps(k)}:{_number(v)}" for k, v in zip(self.keys, numbers)) + record
            self._print(f'{{"step":{step}{record}}}\n')
            return
        self._count += 1
        slot = self._count % self._slots
        with torch.no_grad(), torch.cuda.device(self._device):
            self._marks[slot].fill_(-1)
            self._rows[slot].copy_(values.detach(), non_blocking=True)
            self._marks[slot].fill_(self._count)
            self._event.record()
        mark = slot * self._stride
        self._print(
            f'{{"step":{step},"$cuda":{{{self._head},"offset":{mark + 8},'
            f'"check":{{"offset":{mark},"value":{self._count}}}}}{record}}}\n'
        )

    def close(self, seconds=1.0):
        """Gives the reader time for what is left: with this process its memory goes. Called at exit, too."""
        if self._memory is None or self._count == 0:
            return
        torch.cuda.synchronize(self._device)
        self._out.flush()
        time.sleep(seconds)
        self._count = 0

    def _print(self, line):
        self._out.write(line)
        self._out.flush()

    def _open(self, device):
        width = _WIDTHS[self.dtype]
        # The mark and the values; both begin at a multiple of 8 bytes.
        self._stride = 8 + -(-len(self.keys) * width // 8) * 8
        size = -(-self._stride * self._slots // _GRANULE) * _GRANULE
        with torch.cuda.device(device):
            torch.zeros(1, device="cuda")  # makes the context this thread's
            self._memory = _Memory(size)
            raw = torch.as_tensor(self._memory, device=f"cuda:{device}")
            raw.zero_()
            self._marks = [raw[at : at + 8].view(torch.float64) for at in self._places()]
            end = 8 + len(self.keys) * width
            self._rows = [raw[at + 8 : at + end].view(self.dtype) for at in self._places()]
            self._event = torch.cuda.Event(enable_timing=False, interprocess=True)
            self._event.record()
            event = base64.b64encode(self._event.ipc_handle()).decode()
        self._device = device
        handle = base64.b64encode(self._memory.handle).decode()
        self._head = (
            f'"handle":"{handle}","dtype":"{_NAMES[self.dtype]}","keys":{json.dumps(self.keys)},'
            f'"event":"{event}","device":{device}'
        )
        atexit.register(self.close)

    def _places(self):
        return [slot * self._stride for slot in range(self._slots)]


class _Memory:
    """Memory of the driver's own, not of torch's allocator, whose segments cannot always be shared."""

    def __init__(self, size):
        cuda = ctypes.CDLL("libcuda.so.1")
        address = ctypes.c_uint64()
        handle = (ctypes.c_ubyte * 64)()
        _check(cuda, "cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        _check(cuda, "cuIpcGetMemHandle", handle, address)
        self.handle = bytes(handle)
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address.value, False),
            "version": 3,
        }


def _check(cuda, name, *args):
    status = getattr(cuda, name)(*args)
    if status:
        text = ctypes.c_char_p()
        cuda.cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeError(f"{name}: {(text.value or b'').decode() or status}")


def _number(value):
    """JSON has no NaN: ezpz-stream takes its name."""
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps({math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN"))
    return json.dumps(value)
