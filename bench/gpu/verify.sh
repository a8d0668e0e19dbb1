#!/usr/bin/env bash
# The real path, on a machine with NVIDIA GPUs: what of it works, and what it costs. Its output goes into docs/gpu.md.
#
#     npm run build && bench/gpu/verify.sh [PYTHON]
#
# PYTHON has torch with CUDA. Everything is written below a temporary directory, which is left there if something failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
work=$(mktemp -d)
verify() { "$python" -B bench/gpu/verify.py "$@"; }
ezpz() { node "$PWD/dist/cli/main.js" --backends csv --no-plots "$@"; }
failed=0
# Says what was looked at, and whether it is as it should be.
result() {
  if [ "$1" = 0 ]; then echo "ok      $2"; else echo "NOT OK  $2" && failed=1; fi
}

command -v nvidia-smi > /dev/null || { echo "There is no nvidia-smi here: this needs an NVIDIA GPU." >&2; exit 2; }
"$python" -c 'import torch; assert torch.cuda.is_available()' || { echo "$python has no torch with CUDA." >&2; exit 2; }
[ -f dist/cli/main.js ] || { echo "npm run build comes first." >&2; exit 2; }

echo "# $(date -u +%F), $(nvidia-smi --query-gpu=name --format=csv,noheader | sort | uniq -c | sed 's/^ *//' | paste -sd, -)"
echo "driver $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)," \
  "$("$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'), node $(node --version)"
node dist/cli/main.js doctor | grep -E '^(gpu|nccl)'

echo && echo "## Metrics read from another process's device memory"
for dtype in f32 f64 bf16 f16; do
  verify handles "$dtype" "$work/$dtype.jsonl" | ezpz --quiet --outdir "$work/$dtype" 2> "$work/$dtype.log"
  said=$(verify same "$work/$dtype" "$work/$dtype.jsonl")
  result $? "$dtype: $said"
done

echo && echo "## Statistics over NCCL and over ZeroMQ"
gpus=$(nvidia-smi --list-gpus | wc -l)
if [ "$gpus" -lt 2 ]; then
  echo "not run: NCCL wants a GPU for each rank, and there is one"
else
  world=$((gpus < 8 ? gpus : 8))
  for reducer in nccl zeromq; do
    for ((rank = 0; rank < world; rank++)); do
      (
        export EZPZ_RANK=$rank EZPZ_WORLD_SIZE=$world EZPZ_LOCAL_RANK=$rank EZPZ_LOCAL_WORLD_SIZE=$world
        export EZPZ_JOB_ID="verify-$reducer-$$" EZPZ_RENDEZVOUS_DIR="$work/rendezvous-$reducer"
        verify values "$rank" 30 | ezpz --quiet --reducer "$reducer" --outdir "$work/$reducer" 2> "$work/$reducer-$rank.log"
      ) &
    done
    wait
  done
  grep -hE 'NCCL' "$work/nccl-0.log"
  grep -q 'frames came over NCCL' "$work/nccl-0.log"
  result $? "$world ranks: values went over NCCL"
  said=$(verify closings "$work/nccl" "$work/zeromq")
  result $? "bit for bit: $said"
fi

echo && echo "## Memory beside nvidia-smi"
verify memory 8 | ezpz --quiet --memory --outdir "$work/memory" 2> "$work/memory.log" &
sleep 6
smi=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | head -1)
wait
"$python" - "$work/memory/metrics.jsonl" "$smi" << 'PY'
import json, sys
used = [json.loads(line)["metrics"].get("mem_alloc", 0) * 1024 for line in open(sys.argv[1])]
smi = float(sys.argv[2])
nearest = min(used, key=lambda mib: abs(mib - smi))
print(f"        nvidia-smi {smi:.0f} MiB, mem_alloc {nearest:.0f} MiB")
sys.exit(0 if abs(nearest - smi) < 16 else 1)
PY
result $? "mem_alloc is what nvidia-smi calls used"

echo && echo "## What 32 metrics a step cost the training"
for round in 1 2 3 4 5; do
  for mode in none item bridge; do
    verify cost "$mode" 300 "$work/$mode" | ezpz --quiet --outdir "$work/cost-$mode-$round" 2> "$work/cost-$mode.log"
  done
done
verify median "$work/none" "$work/item" "$work/bridge"
for mode in item bridge; do
  [ "$(grep -c '"metrics"' "$work/cost-$mode-5/metrics.jsonl")" = 360 ]
  result $? "$mode: every step is in the log"
done

[ "$failed" = 0 ] && rm -rf "$work" || echo "see $work"
exit "$failed"
