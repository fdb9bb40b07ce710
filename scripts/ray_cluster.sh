#!/bin/sh
# A Ray cluster for `trustbench run hydra/launcher=ray`, machine by machine; see docs/clusters.md.
#
#   scripts/ray_cluster.sh head [IP] [OPTIONS]     on the first machine; says what the others need
#   scripts/ray_cluster.sh join IP:PORT [OPTIONS]  on every other machine, once it has the token
#   scripts/ray_cluster.sh status                  on one of them
#   scripts/ray_cluster.sh stop                    ends all that Ray runs on this machine
#
# OPTIONS are those of `ray start`: --num-gpus=2, --block, ... RAY_PORT (6379) is the head's port.
set -eu
# Whoever reaches a cluster without a token can run code on its machines.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
command -v ray >/dev/null || { echo "ray is missing; pip install 'trustbench[ray]'" >&2; exit 2; }

what=${1:-help}
[ $# -gt 0 ] && shift
case $what in
head)
    case ${1:-} in
    "" | -*) ip=$(hostname -I | cut -d' ' -f1) ;;
    *) ip=$1 && shift ;;
    esac
    port=${RAY_PORT:-6379}
    (umask 077 && ray get-auth-token --generate >/dev/null)
    cat <<EOF
Copy the token to every other machine, with mode 600: ${RAY_AUTH_TOKEN_PATH:-~/.ray/auth_token}
There:  scripts/ray_cluster.sh join $ip:$port
Here:   trustbench run +experiment=NAME hydra/launcher=ray hydra.launcher.address=$ip:$port
EOF
    exec ray start --head --node-ip-address="$ip" --port="$port" --include-dashboard=false \
        --disable-usage-stats "$@"
    ;;
join)
    [ $# -gt 0 ] || { echo "give the head's address: scripts/ray_cluster.sh join IP:PORT" >&2; exit 2; }
    address=$1 && shift
    exec ray start --address="$address" --disable-usage-stats "$@"
    ;;
status | stop)
    exec ray "$what" "$@"
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
