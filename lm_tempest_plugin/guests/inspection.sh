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

# Runs in the guest, for busybox's ash, dash and bash: reads facts, and prints
# lines NAME=VALUE. Arguments: the parts to read, by the names of their checks.
# A part that cannot be read prints "skipped:PART=WHY", one that does not work
# "failed:PART=WHY". Comments and indentation are not sent to the guest:
# dropbear takes commands of up to 9000 bytes.

# First of all: the less happens before, the smaller the error of the clock.
read -r started _ < /proc/uptime
now=$(date +%s.%N)
# busybox's date may know whole seconds only.
now=${now%.%N}

PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

DEADLINE_S=15
# A new metadata agent on the destination needs some seconds.
METADATA_S=10
# Of each disk or partition at most SAMPLES pieces of PIECE_MIB are read, for
# no longer than SUMS_CS hundredths of a second.
PIECE_MIB=4
SAMPLES=16
SUMS_CS=300
# Of each file no more than this.
FILE_MIB=2

no_room='the guest has no room for temporary files'

newline='
'
# Of a message of several lines, the last one.
say() {
    printf '%s=%s\n' "$1" "${2##*"$newline"}"
}

# Sets $cs to the uptime in hundredths of a second. No process: it is used
# around fast commands.
read_cs() {
    read -r cs _ < /proc/uptime
    cs=${cs%.*}${cs#*.}
    # Not octal.
    cs=${cs#0}
}

# Each way to ask prints the document, and fails unless HTTP says 200.
# Debian's busybox-static wget crashes on a URL, so wget comes last.
ask_curl() {
    curl -s -f -m 3 --noproxy '*' "http://$1$2"
}
ask_python3() {
    python3 -c '
import sys
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(f"http://{sys.argv[1]}{sys.argv[2]}", timeout=3).read(
    ).decode())' "$1" "$2"
}
ask_nc() {
    answer=$(printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "$1" |
        nc -w 3 "$1" 80) || return
    case $answer in
        ("HTTP/1."?" 200"*) printf '%s\n' "$answer" ;;
        (*) return 1 ;;
    esac
}
ask_wget() {
    wget -q -O - -T 3 "http://$1$2"
}

metadata() {
    for tool in curl python3 nc wget ''; do
        command -v "$tool" > /dev/null && break
    done
    if [ -z "$tool" ]; then
        say skipped:metadata 'the guest has no curl, python3, nc or wget'
        return
    fi
    read_cs
    end=$((cs + METADATA_S * 100))
    while :; do
        if document=$("ask_$tool" 169.254.169.254 \
                /openstack/latest/meta_data.json 2> /dev/null); then
            say metadata_server_id "$(printf '%s\n' "$document" |
                grep -o '"uuid": *"[^"]*"' | head -n 1 | cut -d '"' -f 4)"
            return
        fi
        read_cs
        [ "$cs" -lt "$end" ] || break
        sleep 1
    done
    say failed:metadata "the metadata service does not answer with HTTP 200 \
within $METADATA_S s ($tool)"
}

# Sets $card and $address: the interface that SSH came to, or that of the
# default route, and its IPv4 address.
find_card() {
    card=
    server=${SSH_CONNECTION-}
    server=${server% *}
    server=${server##* }
    if [ -n "$server" ]; then
        card=$(ip -o addr 2> /dev/null | grep -F " $server/" | head -n 1 |
            cut -d ' ' -f 2)
    fi
    [ -n "$card" ] || card=$(grep -E '^[^	]+	00000000	' /proc/net/route |
        head -n 1 | cut -f 1)
    # A VLAN is shown with its parent.
    card=${card%%@*}
    address=$(ip -o -4 addr show dev "$card" 2> /dev/null |
        sed -n 's|.* inet \([^/ ]*\)/.*|\1|p' | head -n 1)
}

# None of these changes the configuration of the guest.
dhcp_lease() {
    find_card
    if [ -z "$address" ]; then
        say skipped:dhcp-lease 'the guest has no IPv4 address'
        return
    fi
    yes=/bin/true
    [ -x $yes ] || yes=/usr/bin/true
    answer=
    if command -v udhcpc > /dev/null; then
        answer=$(udhcpc -n -q -i "$card" -s $yes -r "$address" -t 8 -T 1 2>&1)
    elif command -v dhcpcd > /dev/null; then
        answer=$(dhcpcd -T -1 -4 -t 6 "$card" 2>&1)
    elif command -v dhclient > /dev/null; then
        # It stays until it is killed, which releases nothing.
        dhclient -1 -sf $yes -lf "$folder/leases" -pf "$folder/pid" "$card" \
            > "$folder/dhclient" 2>&1 &&
            kill "$(cat "$folder/pid")"
    elif command -v networkctl > /dev/null; then
        renew_networkd
    else
        say skipped:dhcp-lease \
            'the guest has no udhcpc, dhcpcd, dhclient or networkctl'
        return
    fi
    # Of the command in the branch that was taken.
    # shellcheck disable=SC2181
    if [ $? -ne 0 ]; then
        say failed:dhcp-lease "no answer to a DHCP request: $answer"
        return
    fi
    leased=$(printf '%s\n' "$answer" |
        sed -n 's/.*lease of \([^ ]*\) obtained.*/\1/p')
    say leased_address "${leased:-$address}"
}

# systemd-networkd replaces its file when the server has agreed.
renew_networkd() {
    lease=/run/systemd/netif/leases/$(cat "/sys/class/net/$card/ifindex")
    old=$(stat -c %i:%Y "$lease")
    networkctl renew "$card"
    for _ in 1 2 3 4 5; do
        sleep 1
        [ "$(stat -c %i:%Y "$lease")" = "$old" ] || return 0
    done
    return 1
}

disk_write() {
    while read -r from point _ flags _; do
        case $from:,$flags, in
            (/dev/*:*,ro,*) say read_only "$point" ;;
            (/dev/*) say read_write "$point" ;;
        esac
    done < /proc/mounts
    home=$(df -P "$HOME" | tail -n 1)
    case $home in
        (/dev/ram*|/dev/zram*) home= ;;
        (/dev/*) ;;
        (*) home= ;;
    esac
    if [ -z "$home" ]; then
        say skipped:disk-write 'the home directory is not on a disk'
        return
    fi
    read_cs
    begin=$cs
    # Several: a throttled disk lets the first ones pass.
    for block in 0 1 2 3; do
        if ! reason=$(dd if=/dev/zero of="$HOME/.lm-inspection" bs=4096 \
                seek=$block count=1 conv=fsync 2>&1); then
            say failed:disk-write "a file cannot be written: $reason"
            return
        fi
    done
    read_cs
    say disk_write_cs $((cs - begin))
    rm -f "$HOME/.lm-inspection"
}

# No clock sources: emulated guests complain of them under load. No traces: a
# more telling line comes before. Drives for removable media complain if
# anyone looks at them. Other bytes than ASCII would be no text for Tempest.
kernel_log() {
    if ! dmesg > "$folder/dmesg" 2>&1; then
        say skipped:kernel-log "$(cat "$folder/dmesg")"
        return
    fi
    grep -E 'blocked for more than|(soft|hard) ?lockup|LOCKUP|rcu.* stall|self-detected stall|I/O error|[Rr]emounting filesystem read-only|(EXT[234]-fs|BTRFS|F2FS-fs).*error|XFS .*([Cc]orrupt|[Ss]hutting down)|BUG:|kernel BUG|Oops|[Gg]eneral protection fault:|Kernel panic' \
        "$folder/dmesg" | grep -Ev 'dev (fd|sr|loop)[0-9]' | tail -n 20 |
        tr -cd '\n -~' | sed 's/^/kernel=/'
}

# Finds how to read what is on a disk: the page cache was migrated with the
# memory, so cached data say nothing about the disk.
find_direct() {
    hash=md5sum
    [ -n "$(md5sum < /dev/null 2> /dev/null)" ] || hash=sha256sum
    direct=
    if [ ! -r "/dev/$1" ]; then
        why='the disks can be read by root only'
    elif dd if="/dev/$1" of=/dev/null bs=4096 count=1 iflag=direct \
            2> /dev/null; then
        direct=iflag=direct
        return
    elif echo 1 2> /dev/null > /proc/sys/vm/drop_caches; then
        return
    else
        why='the guest cannot read its disks without the page cache'
    fi
    return 1
}

# A sum of a part of a device or file: NAME INPUT SKIP_BLOCKS BLOCKS BLOCK_SIZE
sum() {
    # To a file first: a pipe takes longer, and loses the status of dd.
    if reason=$(dd if="$2" of="$folder/$part.piece" bs="$5" skip="$3" \
            count="$4" $direct 2>&1); then
        value=$($hash < "$folder/$part.piece")
        say "$part:$1" "${value%% *}"
    else
        case $reason in
            (*'No space left'*) say "skipped:$part" "$no_room" ;;
            (*) say "failed:$part" "$1 cannot be read: $reason" ;;
        esac
    fi
    rm -f "$folder/$part.piece"
}

# Pieces of a device, spread evenly: DEVICE SIZE_IN_SECTORS
sum_device() {
    ! grep -q "^/dev/$1 [^ ]* [^ ]* rw" /proc/mounts || return
    pieces=$((($2 + PIECE_MIB * 2048 - 1) / (PIECE_MIB * 2048)))
    step=$(((pieces + SAMPLES - 1) / SAMPLES))
    piece=0
    while [ $piece -lt $pieces ]; do
        read_cs
        [ "$cs" -lt "$sums_end" ] || return
        sum "$1@$((piece * PIECE_MIB))" "/dev/$1" $((piece * PIECE_MIB)) \
            $PIECE_MIB 1048576
        piece=$((piece + step))
    done
}

# Sectors that were written or discarded, of each partition and of the rest of
# a disk. Sets $names to the partitions, and $first to the sector where they
# begin.
say_written() {
    names=
    first=2048
    for path in "/sys/block/$1" "/sys/block/$1/$1"*; do
        [ -e "$path/stat" ] || continue
        read -r _ _ _ _ _ _ written _ _ _ _ _ _ discarded _ < "$path/stat"
        written=$((written + ${discarded:-0}))
        if [ ! -e "$path/start" ]; then
            rest=$written
            continue
        fi
        say "written:${path##*/}" $written
        rest=$((rest - written))
        names="$names ${path##*/}"
        read -r start < "$path/start"
        [ "$start" -ge "$first" ] || first=$start
    done
    say "written:$1" "$rest"
}

# A disk: what comes before its partitions and these, or all of it. Where
# something is written meanwhile, both counts differ.
sum_disk() {
    say_written "$1"
    if [ -z "$names" ]; then
        sum_device "$1" "$(cat "/sys/block/$1/size")"
    else
        sum "$1@0" "/dev/$1" 0 $((first / 8)) 4096
        for name in $names; do
            sum_device "$name" "$(cat "/sys/block/$1/$name/size")"
        done
    fi
    say_written "$1"
}

# Files that nobody writes, if the root file system is on a disk. Size and
# time of the last change are in the name: an update of the guest's software
# makes another name.
sum_files() {
    while read -r from point _; do
        [ "$point" != / ] || root=$from
    done < /proc/mounts
    case $root in (/dev/*) ;; (*) return ;; esac
    set -- /boot/* /usr/bin/*
    step=$(($# / 32 + 1))
    while [ $# -gt 0 ]; do
        read_cs
        [ "$cs" -lt "$sums_end" ] || return
        if [ -f "$1" ] && [ -s "$1" ] && [ -r "$1" ] &&
                version=$(stat -L -c %s:%Z "$1" 2> /dev/null); then
            sum "$1:$version" "$1" 0 $FILE_MIB 1048576
        fi
        shift $((step < $# ? step : $#))
    done
}

# Sets $disks: the root disk, which comes first, and others, but no removable
# media and no more volumes of cinder. These have a UUID as serial number, and
# other servers may write them.
find_disks() {
    disks=
    for path in /sys/block/*; do
        case ${path##*/} in
            (loop*|ram*|zram*|sr*|fd*|dm-*|md*|nbd*|mtd*) continue ;;
        esac
        [ "$(cat "$path/size")" -gt 0 ] || continue
        [ -z "$disks" ] ||
            ! grep -q -s -E '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-' \
            "$path/serial" "$path/device/serial" "$path/device/vpd_pg80" ||
            continue
        disks="$disks ${path##*/}"
    done
}

base_image() {
    find_disks
    # shellcheck disable=SC2086
    set -- $disks
    if [ $# -eq 0 ]; then
        say skipped:base-image 'the guest has no disk'
    elif ! find_direct "$1"; then
        say skipped:base-image "$why"
    else
        sum_disk "$1"
        sum_files
    fi
}

ephemeral_disks() {
    find_disks
    # shellcheck disable=SC2086
    set -- $disks
    if [ $# -le 1 ]; then
        say skipped:ephemeral-disks 'the guest has one disk'
    elif ! find_direct "$2"; then
        say skipped:ephemeral-disks "$why"
    else
        shift
        for disk; do
            sum_disk "$disk"
        done
    fi
}

read_part() {
    part=$1
    read_cs
    sums_end=$((cs + SUMS_CS))
    case $part in
        (metadata) metadata ;;
        (dhcp-lease) dhcp_lease ;;
        (disk-write) disk_write ;;
        (kernel-log) kernel_log ;;
        (base-image) base_image ;;
        (ephemeral-disks) ephemeral_disks ;;
    esac
    : > "$folder/$part.done"
}

say started_s "$started"
say wall_s "$now"
say boot_id "$(cat /proc/sys/kernel/random/boot_id)"

# In memory: a disk that hangs must not keep the facts from being told. The
# workload memory may fill /dev/shm.
for place in /run /dev/shm /tmp; do
    folder=$(mktemp -d $place/lm-XXXXXX 2> /dev/null) && break
done
if [ -z "$folder" ]; then
    for part; do
        say "skipped:$part" "$no_room"
    done
    set --
fi

# Nothing may hold the output of this script: a process that a dead disk
# blocks cannot be killed, and SSH would wait for it.
pids=
for part; do
    read_part "$part" > "$folder/$part.out" 2> "$folder/$part.err" \
        < /dev/null &
    pids="$pids $!"
done
if [ -n "$pids" ]; then
    # shellcheck disable=SC2086
    (sleep $DEADLINE_S; kill -9 $pids) > /dev/null 2>&1 < /dev/null &
    watchdog=$!
    # shellcheck disable=SC2086
    wait $pids 2> /dev/null
    kill $watchdog 2> /dev/null
fi
for part; do
    cat "$folder/$part.out"
    [ -e "$folder/$part.done" ] || case $part in
        (metadata|dhcp-lease|disk-write)
            say "failed:$part" "its commands did not end within $DEADLINE_S s" ;;
        (*) say "skipped:$part" "its commands did not end within $DEADLINE_S s" ;;
    esac
done
[ -z "$folder" ] || rm -rf "$folder"
read -r ended _ < /proc/uptime
say ended_s "$ended"
