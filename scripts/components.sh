#!/bin/sh
# Runs the tests that need a real Ray, PostgreSQL or SLURM, and installs what Debian has of them.
#
#   scripts/components.sh COMPONENT...     of ray, postgresql, slurm; or none
#
# `make test-components` calls it, once pip has installed the Python packages. The tests start the
# services in temporary folders and stop them again. A component that is missing and cannot be
# installed, or a test that is skipped, is an error.
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 2; }
[ "$*" != none ] || { echo "components: no component is tested, as COMPONENTS=none asks"; exit 0; }
die() {
  echo "components: $1; name those to test, as in: make test-components COMPONENTS=postgresql" >&2
  exit 2
}

here() { command -v "$1" >/dev/null; }

user=$(id -u) packages='' files=''
for component; do
  case $component in
  ray)
    here ip || packages="$packages iproute2"
    files="$files tests/cluster/test_ray.py"
    ;;
  postgresql)
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || here initdb ||
      packages="$packages postgresql"
    files="$files tests/e2e/test_tracking_server.py"
    ;;
  slurm)
    { here munged && here slurmctld && here slurmd && here sbatch; } ||
      packages="$packages munge slurmctld slurmd slurm-client"
    files="$files tests/cluster/test_slurm.py"
    ;;
  *) die "there is no component $component; there are ray, postgresql, slurm and none" ;;
  esac
  [ "$component" = postgresql ] || [ "$user" = 0 ] ||
    die "the tests of $component simulate machines on this one, which needs root"
done

if [ -n "$packages" ]; then
  [ "$user" = 0 ] && here apt-get ||
    die "missing here, and only root can install them, with apt-get:$packages"
  echo "components: installs$packages"
  # at run level 1 Debian starts no service that it has just installed
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  log=$(mktemp)
  { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1 </dev/null ||
    { tail -5 "$log" >&2; die "apt-get cannot install:$packages"; }
  rm "$log"
fi

# one file after the other in each process; what they have in common is made once in each
export OMP_NUM_THREADS=1
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m cluster --no-skips $files
