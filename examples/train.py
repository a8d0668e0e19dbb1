"""A training script in Python that knows nothing about ezpz-stream: it prints a JSON object per step.

    python examples/train.py | ezpz-stream
    ezpz-stream run -- python examples/train.py     (started for you; its exit code is passed on)

Nothing to install. It prints one line that is no JSON object, which comes out on stderr as it is, and one NaN,
which json writes bare and which is kept as it is.
"""

import json
import math
import random
import sys

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100
rng = random.Random(0)

print(f"fitting y = sin(x) with a cubic, {steps} steps", flush=True)
w = [0.0, 0.0, 0.0, 0.0]
for step in range(1, steps + 1):
    lr = 0.05 * (1 - step / (steps + 1))
    gradient = [0.0] * 4
    loss = 0.0
    for _ in range(64):
        x = rng.uniform(-1.5, 1.5)
        error = sum(w[k] * x**k for k in range(4)) - math.sin(x)
        loss += error**2 / 64
        for k in range(4):
            gradient[k] += 2 * error * x**k / 64
    w = [w[k] - lr * gradient[k] for k in range(4)]
    record = {
        "iter": step,
        "train": {"loss": loss, "lr": lr},
        # Not known yet at the first step.
        "train/improvement": float("nan") if step == 1 else previous - loss,
    }
    previous = loss
    print(json.dumps(record), flush=True)
