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

# Keeps pages of memory: each holds a counter and its place in a file in tmpfs.
# One pass reads each page, compares it with what the pass before has written,
# and writes the next counter into the same page. Arguments: MiB to handle each
# second, MiB of the file.

rate=$1
mib=$2

pages=$((mib * 256))
turn_cs=$((mib * 100 / rate))

# Both ends of a page have the counter, so half a page is found as well. awk
# reads ahead of its own writes, and lines keep their length.
# shellcheck disable=SC2016
program='
function page(number, counter) {
    return sprintf("%010d %08d %s %010d", counter, number, padding, counter)
}
BEGIN {
    padding = "keeper"
    while (length(padding) < 4064)
        padding = padding padding
    padding = substr(padding, 1, 4064)
    if (counter == 0)
        for (number = 0; number < pages; number++)
            print page(number, 0)
    else
        while ((getline line < file) > 0) {
            if (line != page(done, counter - 1)) {
                printf "page %d of %d has counter %s at its begin and %s at" \
                    " its end instead of %d, and place %s\n", done, pages,
                    shown(line, 1, 10), shown(line, 4086, 10), counter - 1,
                    shown(line, 12, 8) > problem
                exit
            }
            print page(done++, counter)
        }
    if (counter > 0 && done != pages)
        printf "the file has %d pages instead of %d\n", done, pages > problem
}
function shown(line, start, size) {
    line = substr(line, start, size)
    return line ~ /^[0-9]+$/ ? line : "\"unreadable\""
}'

counter=0
: > "$folder/pages"
while :; do
    awk -v pages=$pages -v counter=$counter -v file="$folder/pages" \
        -v problem="$folder/problem" "$program" \
        1<> "$folder/pages" 2> "$folder/error" ||
        fail "$(cat "$folder/error")"
    [ ! -e "$folder/problem" ] || exit 1
    read_cs
    echo "$cs $((counter * pages))" >> "$folder/log"
    counter=$((counter + 1))
    await_turn
done
