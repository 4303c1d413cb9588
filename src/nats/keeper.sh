#!/bin/sh
# Keeps one nats-server running for a sidecar, and ends it when the sidecar is gone for longer than it may linger.
#
#   keeper.sh <data folder>
#
# Files of the data folder, each `<pid> <start time>` where it names a process:
#   keeper.args   in: first line the path of nats-server, second line the seconds to linger; read each second
#   sidecar.pid, sidecar.<member>.pid   in: the sidecars to watch; one of them is enough
#   keeper.pid, nats.pid   out: this process and the server
#   nats.held     in: while it is there a server that has ended by itself is not started again
#   nats.exit     out: `<count> <last status>` of the server's unexpected exits
# Signals: TERM ends the server and then the keeper, USR1 restarts the server, and takes nats.held away.
# The body is one function, so that the shell has read all of it before an update can replace this file.

main() {
  cd "$1" || exit 1
  umask 077
  stop='' restart='' server='' exits=0 delay=0 orphaned=0 up=0
  trap 'stop=1' TERM INT
  trap 'restart=1' USR1
  trap '' HUP
  { read -r exits _; } 2>/dev/null <nats.exit
  record keeper.pid $$
  read_live_pid nats.pid && server=$pid

  while [ -z "$stop" ]; do
    # A data folder that is gone has no sidecar and no server any more.
    [ -r keeper.args ] || break
    { IFS= read -r binary; IFS= read -r linger; } <keeper.args
    if [ -n "$restart" ]; then
      restart=''
      rm -f nats.held
      end_server
      delay=0
    fi
    if [ -z "$server" ]; then
      if [ "$delay" -gt 0 ]; then delay=$((delay - 1)); elif [ ! -e nats.held ]; then launch; fi
    fi
    nap
    if [ -n "$server" ] && ! started "$server"; then
      wait "$server" 2>/dev/null
      lost $?
    fi
    up=$((up + 1))
    if sidecar_lives; then orphaned=0; else orphaned=$((orphaned + 1)); fi
    [ "$orphaned" -gt "$linger" ] && stop=1
  done
  end_server
  rm -f keeper.pid
}

launch() {
  # What the last server said when it crashed is worth keeping.
  [ -s log/nats.out ] && mv -f log/nats.out log/nats.out.1
  "$binary" -c nats.conf </dev/null >log/nats.out 2>&1 &
  server=$!
  up=0
  record nats.pid "$server"
}

# The server went away by itself: launch it again, later each time that it does not stay up.
lost() {
  server=''
  rm -f nats.pid
  [ "$up" -gt 60 ] && backoff=0
  exits=$((exits + 1))
  delay=${backoff:-0}
  backoff=$((delay * 2 + 1))
  [ "$backoff" -gt 30 ] && backoff=30
  write nats.exit "$exits $1"
}

end_server() {
  [ -n "$server" ] || return
  kill -TERM "$server" 2>/dev/null
  tenths=0
  while started "$server"; do
    [ "$tenths" -eq 100 ] && kill -KILL "$server" 2>/dev/null
    tenths=$((tenths + 1))
    sleep 0.1
  done
  wait "$server" 2>/dev/null
  server=''
  rm -f nats.pid
}

# A second, or less when a signal comes.
nap() {
  sleep 1 &
  wait $!
  kill $! 2>/dev/null
}

# Sets $start to the start time of a process; fails when it is gone or a zombie.
started() {
  start=''
  if [ -r /proc/self/stat ]; then
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086 # split into the fields after the command's name
    set -- ${stat##*) }
    [ "$1" = Z ] && return 1
    shift 19
    start=$1
  else
    start=$(LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null)
  fi
  [ -n "$start" ]
}

sidecar_lives() {
  for lock in sidecar.pid sidecar.*.pid; do
    read_live_pid "$lock" && return 0
  done
  return 1
}

# Sets $pid to the process that a file names; fails when that process is gone.
read_live_pid() {
  pid='' known=''
  { read -r pid known <"$1"; } 2>/dev/null
  [ -n "$pid" ] && started "$pid" && [ "$start" = "$known" ]
}

record() {
  started "$2"
  write "$1" "$2 $start"
}

write() {
  printf '%s\n' "$2" >"$1.tmp" && mv "$1.tmp" "$1"
}

main "$@"
