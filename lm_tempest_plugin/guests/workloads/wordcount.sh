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

# Counts words of a numbered text that comes over TCP, in windows of one
# second. A window ends with the first chunk after its second; then the guest
# registers it on its disk, "UPTIME_S CHUNK:WORDS ...", and sends the same line
# back. Arguments: those of a client, which connects standard input and output
# with the sender.

register=$HOME/lm-wordcount
: > "$register"

# Opened for both, so that neither side waits for the other.
mkfifo "$folder/answers" || fail 'a pipe cannot be made'
exec 3<> "$folder/answers"
echo "$due 0" > "$folder/log"

# Without connection tracking from the source, the destination takes packets of
# the sender for those of a new connection, and drops them until the guest sends
# some: so it must not only answer.
(while sleep 1; do echo alive; done) >&3 &

# shellcheck disable=SC2016
program='
{
    counted = counted " " $1 ":" NF - 1
    getline uptime < "/proc/uptime"
    close("/proc/uptime")
    split(uptime, times, " ")
    if (times[1] >= due) {
        print times[1] counted
        fflush()
        counted = ""
        due = int(times[1]) + 1
    }
}'

"$@" <&3 | awk "$program" | while read -r window; do
    if ! { echo "$window" >> "$register" && sync "$register"; }; then
        fail 'the register cannot be written'
    fi
    echo "$window" >&3
done
[ -e "$folder/problem" ] || fail 'the connection to the sender has ended'
