#!/bin/sh
# An MLflow server on PostgreSQL: where machines that share no disk meet. Ctrl-C stops both.
#
#   scripts/tracking_server.sh FOLDER [HOST [PORT]]
#
# FOLDER    the database and the artifacts; made when it does not exist, used again when it does
# HOST      the address to listen on (default 127.0.0.1: this machine alone; 0.0.0.0: all)
# PORT      default 5000
#
# ALLOWED_HOSTS=a.example.org,b   names under which clients may call it; without it this machine
#                                 and private addresses (10.*, 192.168.*, 172.16-31.*)
# WORKERS=4                       processes that answer (default 2)
#
# Needs PostgreSQL (Debian: apt-get install postgresql) and pip install 'trustbench[server]'.
# The database listens on a socket that only its own user can open, so it has no password. The
# server has none either: let a firewall or an SSH tunnel decide who reaches PORT.
set -eu

die() { echo "tracking_server: $1" >&2; exit 2; }

[ $# -ge 1 ] && [ $# -le 3 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 2; }
host=${2:-127.0.0.1} port=${3:-5000}
mkdir -p "$1/artifacts"
folder=$(cd "$1" && pwd)

mlflow=$(dirname "$0")/../.venv/bin/mlflow
[ -x "$mlflow" ] || mlflow=$(command -v mlflow) || die "mlflow is not installed"
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || bin=$(pg_config --bindir 2>/dev/null) || die \
  "PostgreSQL is not installed; Debian: apt-get install postgresql"
[ -x "$bin/initdb" ] || die "$bin has no initdb; install PostgreSQL's server, not only its client"

# PostgreSQL refuses to run as root
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  as_owner() { runuser -u postgres -- "$@"; }
else
  owner=$(id -un)
  as_owner() { "$@"; }
fi
# a socket's path has at most 107 characters, which FOLDER may not leave
socket=$(mktemp -d /tmp/trustbench-db.XXXXXX)
mkdir -p "$folder/db"
if [ "$owner" = postgres ]; then chown postgres "$folder/db" "$socket"; fi

server=
stop() {
  trap - EXIT INT TERM
  if [ -n "$server" ]; then
    kill -s TERM -- "-$server" 2>/dev/null || :
    wait "$server" 2>/dev/null || :
  fi
  as_owner "$bin/pg_ctl" -D "$folder/db" -m fast -s stop || :
  rm -rf "$socket"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cd /  # which the database's user can read
if [ ! -e "$folder/db/PG_VERSION" ]; then
  as_owner "$bin/initdb" -D "$folder/db" --auth=trust --encoding=UTF8 --locale=C >/dev/null ||
    die "$folder/db cannot be made by the user $owner; can it enter $folder?"
fi
as_owner "$bin/pg_ctl" -D "$folder/db" -l "$folder/db/log" -s -w \
  -o "-c listen_addresses='' -c unix_socket_directories=$socket" start ||
  die "PostgreSQL did not start; see $folder/db/log"
"$bin/psql" -h "$socket" -U "$owner" -d postgres -Atc \
  "select 1 from pg_database where datname = 'mlflow'" | grep -q 1 ||
  "$bin/createdb" -h "$socket" -U "$owner" mlflow

# its job runners, seven processes of 200 MB, do nothing for trustbench
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
echo "tracking_server: http://$host:$port, database and artifacts in $folder"
# a group of its own, so that its workers end with it
setsid "$mlflow" server --backend-store-uri "postgresql+psycopg://$owner@/mlflow?host=$socket" \
  --artifacts-destination "$folder/artifacts" --host "$host" --port "$port" \
  --workers "${WORKERS:-2}" ${ALLOWED_HOSTS:+--allowed-hosts "$ALLOWED_HOSTS"} &
server=$!
wait "$server"
