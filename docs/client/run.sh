#!/usr/bin/env bash
# Runs the example clients against a real usher with its demo pool, over a Unix
# socket and over TCP. Each gets an usher of its own, which it kills and starts
# again in its last scenario. Fails when any assertion in an example does.
#
#   docs/client/run.sh [go] [node] [python]      all three when none is named
#
#   USHER_BIN  a built usher; unset: it is built here
#   PYTHON     the Python that has grpcio; unset: /usr/bin/python3
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-/usr/bin/python3}
clients=("$@")
if ((${#clients[@]} == 0)); then
  clients=(go node python)
fi
export PYTHONDONTWRITEBYTECODE=1

die() {
  echo "run.sh: $*" >&2
  exit 1
}

missing=()
# need COMMAND WHAT: COMMAND succeeds, or WHAT is missing.
need() {
  bash -c "$1" >/dev/null 2>&1 || missing+=("$2")
}

check() {
  local client
  need 'command -v go' 'go: the Go toolchain (the health check needs it, whichever client runs)'
  for client in "${clients[@]}"; do
    case $client in
      go) ;;
      node)
        need 'command -v node' 'node, version 18 or later: apt-get install nodejs'
        need 'command -v npm' 'npm: apt-get install npm'
        ;;
      python)
        need "'$python' -c 'import grpc'" "grpcio for $python: apt-get install python3-grpcio"
        need "'$python' -c 'import google.protobuf'" "protobuf for $python: apt-get install python3-protobuf"
        need 'command -v protoc' 'protoc: apt-get install protobuf-compiler'
        need 'command -v grpc_python_plugin' 'grpc_python_plugin: apt-get install protobuf-compiler-grpc'
        need 'echo "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\";" >'"$tmp"'/x.proto &&
          protoc -I '"$tmp"' --descriptor_set_out=/dev/null '"$tmp"'/x.proto' \
          "protobuf's well-known types for protoc: apt-get install libprotobuf-dev"
        ;;
      *) die "no client named $client: go, node or python" ;;
    esac
  done
  if ((${#missing[@]})); then
    printf 'run.sh: missing: %s\n' "${missing[@]}" >&2
    exit 1
  fi
}

prepare() {
  cd "$root"
  if [[ -z ${USHER_BIN:-} ]]; then
    USHER_BIN=$tmp/usher
    go build -o "$USHER_BIN" ./cmd/usher
  fi
  [[ -x $USHER_BIN ]] || die "USHER_BIN: $USHER_BIN is no program"
  go test -tags live -c -o "$tmp/example" ./docs/client/go
  if [[ " ${clients[*]} " == *" node "* ]]; then
    cd "$here/node"
    if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
      npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    fi
  fi
  if [[ " ${clients[*]} " == *" python "* ]]; then
    cd "$root"
    mkdir "$tmp/stubs"
    protoc -I proto -I docs/client --python_out="$tmp/stubs" --grpc_python_out="$tmp/stubs" \
      --plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" \
      proto/usher/v1/{account,decision,report,scheduler,metrics}.proto docs/client/errors.proto
  fi
}

# usherctl start | kill | stop: the one usher at USHER_ADDRESS. The examples call
# it too, as the program that USHER_CTL names.
usherctl() {
  local pid=0
  if [[ -f $tmp/pid ]]; then
    pid=$(<"$tmp/pid")
  fi
  case $1 in
    start) start ;;
    kill) finish KILL "$pid" ;;
    stop) finish TERM "$pid" ;;
  esac
}

# start succeeds when usher's own health service says that it serves.
start() {
  local pid health
  # In a shell of its own, so that it is nobody's job.
  (
    nohup "$USHER_BIN" serve --config "$tmp/usher.yaml" --listen "$USHER_ADDRESS" >>"$tmp/log" 2>&1 </dev/null &
    echo $! >"$tmp/pid"
  )
  pid=$(<"$tmp/pid")
  "$tmp/example" -test.run '^TestReady$' >"$tmp/health" 2>&1 &
  health=$!
  while running "$pid" && running "$health"; do
    sleep 0.02
  done
  if running "$pid" && wait "$health"; then
    return 0
  fi
  echo "usher does not serve on $USHER_ADDRESS:" >&2
  cat "$tmp/log" "$tmp/health" >&2
  kill "$health" 2>/dev/null
  return 1
}

# finish SIGNAL PID returns when the process is gone.
finish() {
  local i
  if (($2 == 0)) || ! kill -s "$1" "$2" 2>/dev/null; then
    rm -f "$tmp/pid"
    return 0
  fi
  for ((i = 0; i < 3000; i++)); do
    if ! running "$2"; then
      rm -f "$tmp/pid"
      return 0
    fi
    sleep 0.02
  done
  kill -s KILL "$2"
  echo "usher did not end within a minute of SIG$1" >&2
  return 1
}

# A zombie runs no more.
running() {
  kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

# Each line with &&: the caller asks for the status, and bash then ignores -e.
example() {
  case $1 in
    go)
      cd "$here/go" &&
        timeout 600 "$tmp/example" -test.v -test.skip '^TestAway$' | tee "$tmp/out" &&
        timeout 600 "$tmp/example" -test.v -test.run '^TestAway$' | tee -a "$tmp/out" &&
        ! grep -q '^--- SKIP' "$tmp/out"
      ;;
    node)
      cd "$here/node" && timeout 600 node --test-reporter=spec life.js
      ;;
    python)
      cd "$here/python" && PYTHONPATH=$tmp/stubs timeout 600 "$python" life.py
      ;;
  esac
}

# A port that was free a moment ago. If another program takes it in between,
# usher says so and the caller tries the next.
free_port() {
  local port
  for port in $(shuf -i 20000-32000 -n 20); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  return 1
}

start_on() {
  local try
  for try in 1 2 3; do
    case $1 in
      unix) USHER_ADDRESS=unix://$tmp/usher.sock ;;
      tcp) USHER_ADDRESS=127.0.0.1:$(free_port) ;;
    esac
    export USHER_ADDRESS
    : >"$tmp/log"
    if usherctl start 2>"$tmp/trouble"; then
      return
    fi
    usherctl kill
  done
  cat "$tmp/trouble" >&2
  return 1
}

if [[ ${1:-} == usherctl ]]; then # called by an example
  tmp=$USHER_TMP
  usherctl "$2"
  exit
fi

# A socket's path has at most 107 bytes, so not below a long TMPDIR.
tmp=$(mktemp -d /tmp/usher-clients.XXXXXX)
trap 'usherctl kill || true; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

check
prepare
# The demo's pool, without escape: upstreams that answer within microseconds differ by chance alone.
sed 's/^  profile: .*/&\n  session: {escape: {length: 0s}}/' "$root/cmd/internal/app/demo/demo.yaml" >"$tmp/usher.yaml"
export USHER_BIN USHER_TMP=$tmp
printf '#!/bin/sh\nexec "%s" usherctl "$1"\n' "$here/run.sh" >"$tmp/usherctl"
chmod +x "$tmp/usherctl"
export USHER_CTL=$tmp/usherctl
failed=()
for transport in unix tcp; do
  for client in "${clients[@]}"; do
    echo "==> $client over $transport"
    start_on "$transport"
    if ! (example "$client"); then
      failed+=("$client over $transport")
      echo "usher's log:" >&2
      tail -n 20 "$tmp/log" >&2
    fi
    usherctl stop || failed+=("usher's stop after $client over $transport")
  done
done
if ((${#failed[@]})); then
  printf 'run.sh: FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "run.sh: ${clients[*]}: all passed, over a Unix socket and over TCP"
