#!/bin/sh
# A sweep on SLURM: one job of a core that stays for the whole sweep, and an array of its arms.
#
#   scripts/slurm.sh PARTITION +experiment=full_table dataset=adult [hydra.launcher.gpus=1 ...]
#
# ACCOUNT=... is the account of all jobs, DAYS=2 how long the sweep may take in all; when that is
# over, or the job has died, the same line goes on. output_dir must be on a disk that all nodes see.
# It can as well be typed on the login node, in tmux, where that is allowed:
#
#   trustbench run +experiment=full_table hydra/launcher=slurm hydra.launcher.partition=PARTITION
set -eu
[ $# -gt 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 2; }
partition=$1 && shift
trustbench=$(dirname "$0")/../.venv/bin/trustbench
[ -x "$trustbench" ] || trustbench=$(command -v trustbench) || {
  echo "slurm: trustbench is not installed" >&2; exit 2; }
command -v sbatch >/dev/null || { echo "slurm: there is no sbatch on this machine" >&2; exit 2; }

set -- run "$@" hydra/launcher=slurm "hydra.launcher.partition=$partition" \
  ${ACCOUNT:+"hydra.launcher.account=$ACCOUNT"}
# the words of the command, each quoted for the shell that runs the job
line=$(for word in "$trustbench" "$@"; do
  printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"
done)
exec sbatch --job-name=trustbench-sweep --partition="$partition" \
  ${ACCOUNT:+--account="$ACCOUNT"} --time="${DAYS:-2}-00" --cpus-per-task=1 --mem=4G \
  --output=trustbench-%j.log --wrap="exec $line"
