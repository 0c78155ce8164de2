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

# program.sh comes before.
# shellcheck disable=SC2034,SC2154

# Writes memory: a file in tmpfs, in place, again and again. Arguments: MiB to
# write each second (0: as many as possible), MiB of the file.

rate=$1
mib=$2

blocks=$((mib * 16))
# QEMU does not send pages of zeros, and libvirt looks for pages with another
# content than before: so each pass writes other random data.
piece=64
shifts=7
dd if=/dev/urandom of="$folder/source" bs=65536 count=$((piece + shifts)) \
    2> "$folder/error" || fail "$(cat "$folder/error")"

turn_cs=25
[ "$whole_seconds" = no ] || turn_cs=100
turn=$((rate * 16 * turn_cs / 100))
[ "$rate" -gt 0 ] || turn=$piece

at=0
pass=0
total=0
while :; do
    left=$turn
    while [ $left -gt 0 ]; do
        count=$piece
        [ $count -le $left ] || count=$left
        [ $count -le $((blocks - at)) ] || count=$((blocks - at))
        dd if="$folder/source" of="$folder/target" bs=65536 count=$count \
            skip=$((pass % (shifts + 1))) seek=$at conv=notrunc \
            2> "$folder/error" || fail "$(cat "$folder/error")"
        left=$((left - count))
        at=$((at + count))
        if [ $at -ge $blocks ]; then
            at=0
            pass=$((pass + 1))
        fi
    done
    total=$((total + turn))
    read_cs
    echo "$cs $total" >> "$folder/log"
    [ "$rate" -eq 0 ] || await_turn
done
