#!/usr/bin/env bash
# minigan on a GPU, checked and measured in nine minutes: run it in the repository's root.
#
#   bash benchmarks/gpu_check.sh                         everything, the most important first
#   STEPS="smoke bench" bash benchmarks/gpu_check.sh     some of it
#   SMALL=1 BUDGET=300 bash benchmarks/gpu_check.sh      small sizes: is the script itself right?
#
# It needs Python (PY) with NumPy, Pillow, CuPy, pytest and, for comparisons, PyTorch; nothing is
# installed.  What is printed also goes to OUT, the verdicts to OUT/summary.txt.  A step that
# fails or runs out of time does not stop the next; the exit code tells whether one did.
set -u
cd "$(dirname "$0")/.." || exit 2
export PYTHONPATH="$PWD" PYTHONUNBUFFERED=1 MINIGAN_OFFLINE=1
PY="${PY:-python3}" BUDGET="${BUDGET:-540}" SMALL="${SMALL:-0}" JOBS="${JOBS:-8}"
OUT="${OUT:-/tmp/minigan_gpu_check}"
STEPS="${STEPS:-environment smoke headline bench tests profile}"
mkdir -p "$OUT" && runs=$(mktemp -d) && trap 'rm -rf "$runs"' EXIT
summary="$OUT/summary.txt" && : > "$summary"
SECONDS=0 failed=0 small=""
[ "$SMALL" = 1 ] && small="--small"

say() { printf '[%3d s] %s\n' "$SECONDS" "$*" | tee -a "$summary"; }

# step NAME SECONDS COMMAND...
step() {
    local name=$1 limit=$2 code
    shift 2
    case " $STEPS " in *" $name "*) ;; *) return ;; esac
    [ $((BUDGET - SECONDS)) -lt "$limit" ] && limit=$((BUDGET - SECONDS))
    if [ "$limit" -lt 10 ]; then say "$name: no time left"; failed=1; return; fi
    say "$name: at most $limit s"
    LIMIT=$limit timeout --kill-after=5 "$limit" "$@" 2>&1 | tee "$OUT/$name.log"
    code=${PIPESTATUS[0]}
    case $code in
        0) say "$name: ok" ;;
        124 | 137) say "$name: OUT OF TIME"; failed=1 ;;
        *) say "$name: FAILED (exit code $code)"; failed=1 ;;
    esac
}

environment() {
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm --format=csv,noheader
    "$PY" - <<'PYTHON'
import importlib.metadata as metadata, os, sys
print("Python", sys.version.split()[0], "on", os.cpu_count(), "cores")
for name in ("numpy", "cupy-cuda12x", "cupy-cuda13x", "torch", "pytest", "pytest-xdist"):
    try:
        print(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        print(name, "-")
from minigan.arrays import array_module
from minigan.kernels.gpu import cublas
cupy = array_module("gpu")
runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
print("compute capability", device.compute_capability, "free and total memory", device.mem_info)
print("driver", runtime.driverGetVersion(), "runtime", runtime.runtimeGetVersion(),
      "NVRTC", cupy.cuda.nvrtc.getVersion())
print("products:", "cuBLAS directly" if cublas._library(cupy) else "CuPy's, FOR CUBLAS IS NOT FOUND")
PYTHON
}

# The runs of the README, then one in two legs, which must be the whole run bit for bit.
headline() {
    local words code bad=0 more=() begin
    [ "$SMALL" = 1 ] && more=(--limit 600 --batch-size 20 --width 0.03 --steps 3)
    while read -r words; do
        begin=$SECONDS
        # shellcheck disable=SC2086
        "$PY" examples/$words --device gpu "${more[@]}" --out "$runs/${words//[^a-z0-9]/_}" > "$runs/log" 2>&1
        code=$?
        echo "$words: exit code $code, $((SECONDS - begin)) s"
        grep "CUDA graph" "$runs/log"
        if [ $code = 0 ]; then tail -n 2 "$runs/log"; else tail -n 20 "$runs/log"; bad=1; fi
    done <<'RUNS'
mnist_gan.py --epochs 2
mnist_gan.py --steps 100 --original
dcgan.py --data digits --steps 60 --limit 4096
wgan_gp.py --data digits --steps 20 --limit 4096
wgan_gp.py --data digits --steps 10 --limit 1024 --clip 0.01
mnist_gan.py --epochs 2 --cuda-graph
dcgan.py --data digits --steps 60 --limit 4096 --cuda-graph
wgan_gp.py --data digits --steps 20 --limit 4096 --cuda-graph
RUNS
    for words in "whole --steps 40" "parts --steps 20" "parts --steps 40 --resume" "graph --steps 40 --cuda-graph"; do
        # shellcheck disable=SC2086
        set -- $words
        "$PY" examples/mnist_gan.py --data digits --limit 1000 --device gpu --out "$runs/$1" "${@:2}" > "$runs/log" 2>&1 \
            || { tail -n 20 "$runs/log"; bad=1; }
    done
    "$PY" - "$runs" <<'PYTHON' || bad=1
import sys
import numpy as np
whole, parts, graph = (np.load(f"{sys.argv[1]}/{name}/checkpoint.npz") for name in ("whole", "parts", "graph"))
bad = False
for kind, other in (("resumed", parts), ("recorded", graph)):
    wrong = [name for name in whole.files
             if name != "description" and not np.array_equal(whole[name], other[name])]
    print(f"a {kind} run", f"differs in {wrong}" if wrong else "is the whole run, bit for bit")
    bad |= bool(wrong)
sys.exit(bad)
PYTHON
    cp "$runs"/mnist_gan_py___epochs_2/samples.gif "$OUT" 2> /dev/null
    return $bad
}

# One process a file, so that what ended before the time did is told; those about the GPU first.
tests() {
    local files=(tests/test_gpu_*.py tests/test_{training_step,penalty,wgan_examples,layers,losses,optim}.py tests/test_*.py)
    [ "$SMALL" = 1 ] && files=(tests/test_losses.py tests/test_optim.py)
    printf '%s\n' "${files[@]}" | awk '!seen[$0]++' \
        | OPENBLAS_NUM_THREADS=2 timeout --kill-after=3 $((LIMIT - 10)) xargs -P "$JOBS" -I{} bash -c 'one_file {}'
    local code=$?
    grep -hE "^(FAILED|ERROR|E  ) " "$runs"/test_*.log | cut -c1-250
    for log in "$runs"/test_*.log; do grep -qE "^(FAILED|ERROR) |INTERNALERROR" "$log" && tail -n 300 "$log"; done
    return $code
}

one_file() {
    local log begin=$SECONDS code
    log="$runs/$(basename "$1" .py).log"
    "$PY" -m pytest -q -p no:cacheprovider --device gpu --durations=3 "$1" > "$log" 2>&1
    code=$?
    printf '%-36s %4d s  %s\n' "$1" $((SECONDS - begin)) "$(grep -E ' in [0-9.]+s' "$log" | tail -n 1)"
    return $code
}

export -f environment headline tests one_file
export PY SMALL JOBS OUT runs
say "minigan $(git rev-parse --short HEAD 2> /dev/null), at most $BUDGET s: $STEPS"
step environment 60 bash -c environment
step smoke 120 "$PY" benchmarks/gpu_smoke.py $small
step headline 140 bash -c headline
step bench 230 "$PY" benchmarks/bench_gpu.py --rounds 8
step tests 240 bash -c tests
step profile 60 "$PY" benchmarks/gpu_profile.py
say "the end"
echo; cat "$summary"; grep -hE "^ *(FAIL|FAILED|ERROR)\b" "$OUT"/*.log | sort -u | head -40
exit $failed
