"""Trains a small network on a GPU, and never waits for it: metrics are read from the device (ezpz_cuda.py).

    python examples/pytorch_gpu.py | ezpz-stream --memory
    torchrun --nproc-per-node 4 --no-python sh -c 'python examples/pytorch_gpu.py | ezpz-stream --reducer auto'

Without a GPU it trains on the host, and prints numbers.
"""

import argparse
import os
import time

import ezpz_cuda
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--width", type=int, default=256)
parser.add_argument("--layers", type=int, default=4)
args = parser.parse_args()

rank = int(os.environ.get("RANK", os.environ.get("EZPZ_RANK", "0")))
local = int(os.environ.get("LOCAL_RANK", os.environ.get("EZPZ_LOCAL_RANK", "0")))
device = f"cuda:{local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
torch.manual_seed(rank)

sizes = [32] + [args.width] * args.layers
layers = [module for a, b in zip(sizes, sizes[1:]) for module in (torch.nn.Linear(a, b), torch.nn.GELU())]
model = torch.nn.Sequential(*layers, torch.nn.Linear(args.width, 1)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
truth = torch.randn(32, 1, device=device)

linear = [module for module in model if isinstance(module, torch.nn.Linear)]
metrics = ezpz_cuda.Metrics(["loss", *(f"grad_norm/{i}" for i in range(len(linear)))], device=device)
before = time.perf_counter()
for step in range(1, args.steps + 1):
    inputs = torch.randn(256, 32, device=device)
    loss = torch.nn.functional.mse_loss(model(inputs), torch.tanh(inputs @ truth))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norms = [torch.linalg.vector_norm(module.weight.grad) for module in linear]
    optimizer.step()
    now = time.perf_counter()
    metrics.log_all(step, torch.stack([loss.detach(), *norms]), dt=now - before)
    before = now
metrics.close()
