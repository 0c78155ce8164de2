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

# The program of the workload follows.
# shellcheck disable=SC2034,SC2154

# The begin of each program of a workload, in the guest, for busybox's ash,
# dash and bash. Comments and indentation are not sent to the guest: dropbear
# takes commands of up to 9000 bytes.
#
# Arguments: a folder in memory, and those of the program. The program writes
# there: "log", a line "UPTIME_CS TOTAL [TOOK_CS]" for each piece of work, with
# the uptime and a duration in hundredths of a second; "problem" if the guest
# lost something, or the program cannot go on.

export LC_ALL=C
folder=$1
shift

# Sets $cs to the uptime in hundredths of a second. No process: on one emulated
# CPU, each costs as much as writing some MiB.
read_cs() {
    read -r cs _ < /proc/uptime
    cs=${cs%.*}${cs#*.}
    # Not octal.
    cs=${cs#0}
}

# Ends the program.
fail() {
    echo "$*" > "$folder/problem"
    exit 1
}

# Sleeps until $turn_cs have passed since the turn before. What is late is not
# made up for: a burst would be another load than the one that was asked for.
await_turn() {
    read_cs
    due=$((due + turn_cs))
    if [ $due -le "$cs" ]; then
        due=$cs
        return
    fi
    rest=$((due - cs))
    if [ $whole_seconds = yes ]; then
        sleep $(((rest + 50) / 100))
    else
        sleep $((rest / 100)).$((rest / 10 % 10))$((rest % 10))
    fi
}

# Some builds of busybox know whole seconds only.
whole_seconds=no
sleep 0.01 2> /dev/null || whole_seconds=yes
read_cs
due=$cs
