#!/bin/sh
# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

# Runs in the guest as root: starts an echo server on TCP port PORT. Does
# nothing if another program listens on this port.

PORT=@PORT@

# The server must survive this script and the login session that runs it.
trap '' HUP

say() {
    echo "live migration echo: $*"
}

# State 0A is LISTEN; the port is the last part of the local address.
listening() {
    cat /proc/net/tcp /proc/net/tcp6 2> /dev/null |
        grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$PORT") [0-9A-F:]* 0A "
}

# Start a command, and wait until it listens.
try() {
    command -v "$1" > /dev/null || return 1
    say "starting $1"
    "$@" < /dev/null > /dev/null 2>&1 &
    for _ in 1 2 3 4 5; do
        sleep 1
        if listening; then
            say "$1 listens on port $PORT"
            exit 0
        fi
    done
    kill $! 2> /dev/null
    return 1
}

if listening; then
    say "port $PORT is served already"
    exit 0
fi

# Blocks of one page: a write of at most a page to a writable pipe never blocks.
if [ -e /proc/net/if_inet6 ]; then
    try socat -b 4096 \
        "TCP6-LISTEN:$PORT,ipv6only=0,reuseaddr,fork,nodelay" PIPE
fi
try socat -b 4096 "TCP4-LISTEN:$PORT,reuseaddr,fork,nodelay" PIPE
try python3 -c '
import socket
import sys
import threading


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = connection.recv(65536)
        if not data:
            connection.close()
            return
        connection.sendall(data)


port = int(sys.argv[1])
try:
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
except OSError:
    server = socket.socket(socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
server.listen(16)
while True:
    threading.Thread(target=echo, args=server.accept()[:1]).start()
' "$PORT"
try ncat --listen --keep-open --exec /bin/cat "$PORT"
try busybox nc -ll -p "$PORT" -e /bin/cat
say "cannot serve port $PORT: no socat, python3, ncat or nc -ll here"
exit 1
