#!/bin/sh
# Leaves a sweep running on one machine with GPUs, after the shell has gone.
#
#   scripts/gpu_box.sh +experiment=full_table dataset=adult [hydra.launcher.per_gpu=2 ...]
#
# LOG=sweep.log is what it writes to. The sweep starts again, up to TRIES=3 times, while arms
# fail; finished arms are kept, so a try does only what is missing. When the machine has been down,
# run the same line again.
set -eu
[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 2; }
log=${LOG:-sweep.log} tries=${TRIES:-3}
trustbench=$(dirname "$0")/../.venv/bin/trustbench
[ -x "$trustbench" ] || trustbench=$(command -v trustbench) || {
  echo "gpu_box: trustbench is not installed" >&2; exit 2; }

"$trustbench" plan "$@"
run() {
  n=0
  while n=$((n + 1)); do
    code=0
    "$trustbench" run "$@" hydra/launcher=pool || code=$?
    echo "gpu_box: try $n of $tries ended with $code"
    # 1: an arm failed, which may be a full disk or a GPU that was taken; all else is final
    [ "$code" = 1 ] && [ "$n" -lt "$tries" ] || exit "$code"
  done
}
(trap '' HUP && run "$@") >>"$log" 2>&1 </dev/null &
echo "gpu_box: process $!; tail -f $log"
