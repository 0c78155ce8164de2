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

# Writes numbered blocks of 4 KiB to the disk, each with fsync, into a ring of
# 256 places. Argument: writes each second.

turn_cs=$((100 / $1))
file=$HOME/lm-disk-writes

number=0
while :; do
    read_cs
    begin=$cs
    printf '%-4095d\n' $number |
        dd of="$file" bs=4096 count=1 seek=$((number % 256)) \
            conv=fsync,notrunc 2> "$folder/error" ||
        fail "write $number failed: $(cat "$folder/error")"
    read_cs
    echo "$cs $number $((cs - begin))" >> "$folder/log"
    number=$((number + 1))
    await_turn
done
