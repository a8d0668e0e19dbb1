"""What verify.sh runs on a machine with a GPU: jobs whose values are known, and what compares them.

    verify.py handles DTYPE EXPECTED     prints handles of values of that dtype, and writes what they are to EXPECTED
    verify.py values RANK SECONDS        prints numbers that show each bit of how they were added
    verify.py memory SECONDS             holds some of the device's memory, and prints steps
    verify.py cost MODE STEPS TIMES      trains; MODE: none, item (.item() per metric), bridge. Seconds a step, to TIMES
    verify.py same RUN EXPECTED          whether a run's records are just those
    verify.py closings RUN RUN           whether two runs have the same statistics, to the last bit
    verify.py median FILE...             the median of the times in each file
"""

import json
import math
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "examples"))


def log_of(run):
    with open(os.path.join(run, "metrics.jsonl")) as lines:
        return [json.loads(line) for line in lines]


def number(value):
    return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")


def handles(dtype, path):
    import ezpz_cuda
    import torch

    kind = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    keys = [f"m{i:02}" for i in range(32)]
    metrics = ezpz_cuda.Metrics(keys, dtype=kind, slots=64)
    generator = torch.Generator(device).manual_seed(7)
    steps = []
    # More steps than places: each is used several times, no faster than they are read.
    for step in range(1, 301):
        values = (torch.randn(32, device=device, generator=generator) * 1e3).to(kind)
        values[0], values[1], values[2] = math.nan, math.inf, -math.inf
        metrics.log_all(step, values)
        steps.append(values.clone())
        time.sleep(0.005)
    with open(path, "w") as file:
        for values in steps:
            print(json.dumps(dict(zip(keys, map(number, values.double().cpu().tolist())))), file=file)
    metrics.close()


def same(run, path):
    with open(path) as lines:
        expected = [json.loads(line) for line in lines]
    found = [record["metrics"] for record in log_of(run) if "metrics" in record]
    wrong = sum(a != b for a, b in zip(found, expected))
    print(f"{len(found)} of {len(expected)} records, {wrong} of them wrong")
    return len(found) == len(expected) and wrong == 0


def values(rank, seconds):
    end = time.time() + seconds
    step = 0
    while time.time() < end or step < 1000:
        step += 1
        print(json.dumps({"step": step, **{f"m{i}": math.sin(step * 12.9898 + rank * 78.233 + i) * 1e9 for i in range(32)}}))
        sys.stdout.flush()
        if step == 4000:
            break
        time.sleep(0.002)


def closings(one, other):
    def last(run):
        found = {}
        for line in log_of(run):
            if "aggregated" in line:
                found[line["step"]] = (line["count"], line["aggregated"])
        return found

    a, b = last(one), last(other)
    common = [step for step in a if step in b and a[step][0] == b[step][0]]
    different = sum(a[step] != b[step] for step in common)
    print(f"{len(common)} steps compared, {different} different")
    return len(common) > 500 and different == 0


def memory(seconds):
    import torch

    held = torch.zeros(2**28, dtype=torch.float32, device="cuda")
    end = time.time() + seconds
    step = 0
    while time.time() < end:
        step += 1
        held.add_(1)
        print(json.dumps({"step": step}), flush=True)
        time.sleep(0.1)


def cost(mode, steps, path):
    import ezpz_cuda
    import torch

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    width = 2048 if device == "cuda" else 64
    layers = [torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU()) for _ in range(31)]
    model = torch.nn.Sequential(*layers).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device == "cuda")
    weights = [layer[0].weight for layer in layers]
    keys = ["loss", *(f"grad_norm/{i}" for i in range(31))]
    metrics = ezpz_cuda.Metrics(keys)
    inputs = torch.randn(1024 if device == "cuda" else 8, width, device=device)
    warmup = steps // 5
    for step in range(steps + warmup):
        if step == warmup:
            if device == "cuda":
                torch.cuda.synchronize()
            begin = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = (model(inputs) - inputs).float().square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # The norms are made in each mode: what is compared is how they leave the device.
        norms = torch._foreach_norm([weight.grad for weight in weights])
        optimizer.step()
        if mode == "item":
            record = {"step": step, "loss": loss.item(), **{k: n.item() for k, n in zip(keys[1:], norms)}}
            print(json.dumps(record), flush=True)
        elif mode == "bridge":
            metrics.log_all(step, torch.stack([loss.detach(), *norms]))
    if device == "cuda":
        torch.cuda.synchronize()
    with open(path, "a") as file:
        print((time.perf_counter() - begin) / steps, file=file)
    metrics.close()


def median(*paths):
    times = {}
    for path in paths:
        with open(path) as lines:
            times[path] = statistics.median(float(line) for line in lines)
    base = times[paths[0]]
    for path, seconds in times.items():
        print(f"{os.path.basename(path):8} {seconds * 1e3:9.3f} ms a step, {100 * (seconds / base - 1):+6.2f}%")


if __name__ == "__main__":
    command, *args = sys.argv[1:]
    if command == "handles":
        handles(*args)
    elif command == "values":
        values(int(args[0]), float(args[1]))
    elif command == "memory":
        memory(float(args[0]))
    elif command == "cost":
        cost(args[0], int(args[1]), args[2])
    elif command == "same":
        sys.exit(0 if same(*args) else 1)
    elif command == "closings":
        sys.exit(0 if closings(*args) else 1)
    elif command == "median":
        median(*args)
    else:
        sys.exit(__doc__)
