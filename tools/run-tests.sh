#!/usr/bin/env bash
#
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
#
# Run the tests that need no cloud: unit tests with coverage, style, the
# documentation, the job definitions, and reports and metrics in the programs
# that read them. See usage() below, or --help.

set -euo pipefail

readonly KNOWN=(cover pep8 docs zuul functional py3 releasenotes genconfig uuidgen
    bench-probes)
readonly DEFAULT=(cover pep8 docs zuul functional)

usage() {
    cat <<'EOF'
usage: tools/run-tests.sh [PART...] [-- ARGUMENT...]

Run the tests that need no cloud. Without PART: cover, pep8, docs, zuul and
functional.

  cover         unit tests of the plugin, the lab and the tools; fails if they
                cover less than 85 % of the code
  py3           the same unit tests without coverage
  pep8          style (pre-commit with hacking and ruff), types (mypy), ids of
                the Tempest tests, the sample configuration
  docs          build the documentation; a warning is an error
  zuul          the job definitions, with Zuul's own parser and against the
                options of nova and the plugin; the playbooks, with Ansible's
  functional    reports opened in Chromium, metrics read by Prometheus' promtool
                and by InfluxDB; needs those programs
  releasenotes  check the release notes
  genconfig     write etc/lm_tempest_plugin.conf.sample again
  uuidgen       give an id to each Tempest test that has none
  bench-probes  measure the precision of the probes, ping, fping and others, in
                network namespaces of its own; needs root, writes
                bench-results/; takes about eight minutes, or with
                "-- --quick" a minute and a half

Each part runs in a tox environment of its own, which is kept, so that the
second run is quick. Arguments after -- are passed to each part's command.

environment:
  LM_TESTS_DIR  folder for the virtualenvs (.venv-tests in the repository)
  LM_PYTHON     Python to use (/usr/bin/python3)

exit code: that of the first failed part; 2 for a wrong command line.
EOF
}

say() {
    printf 'run-tests: %s\n' "$*" >&2
}

die() {
    say "$1"
    exit "${2:-1}"
}

is_known() {
    local name
    for name in "${KNOWN[@]}"; do
        [ "$name" = "$1" ] && return 0
    done
    return 1
}

# Commands of the benchmarks, with their packages.
readonly BENCH_COMMANDS=(ip:iproute2 nft:nftables fping:fping
    ping:iputils-ping unshare:util-linux stress-ng:stress-ng)

# Programs that read reports and metrics, with their packages.
readonly FUNCTIONAL_COMMANDS=(chromium:chromium chromedriver:chromium-driver
    influxd:influxdb promtool:prometheus)

# Print the Debian packages that are missing on this machine for these parts.
missing_packages() {
    local part entry commands
    for part in "$@"; do
        case $part in
            bench-probes) commands=("${BENCH_COMMANDS[@]}") ;;
            functional) commands=("${FUNCTIONAL_COMMANDS[@]}") ;;
            *) continue ;;
        esac
        for entry in "${commands[@]}"; do
            command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
        done
    done
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo python3-venv
    fi
    command -v git >/dev/null || echo git
}

# On Debian a virtualenv needs python3-venv, and git lists the files to check.
# Everything else comes from PyPI as wheels.
install_packages() {
    local missing=()
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        die "missing: ${missing[*]}; as root: apt-get install ${missing[*]}"
    fi
    command -v apt-get >/dev/null ||
        die "missing: ${missing[*]}, and there is no apt-get to install them"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 || die 'apt-get update failed (see above)'
    apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 ||
        die "apt-get cannot install ${missing[*]} (see above)"
}

# Print everything that the virtualenv depends on. It is made again when this
# changes.
recipe() {
    "$python" -c 'import sys; print(sys.executable, sys.version)'
    printf '%s\n' "$venv"
    cat "$top/tools/requirements-runner.txt" \
        "$top/tools/constraints-tests.txt"
}

make_runner() {
    if [ -f "$venv/recipe" ] && recipe | cmp -s - "$venv/recipe"; then
        return 0
    fi
    say "making a virtualenv for tox in $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv" ||
        die "$python cannot make a virtualenv in $venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --constraint "$top/tools/constraints-tests.txt" \
        --requirement "$top/tools/requirements-runner.txt" ||
        die 'pip cannot install tox (see above)'
    recipe >"$venv/recipe"
}

# pre-commit asks git for the list of files, and reno for the dates of notes.
check_git() {
    case $1 in
        pep8)
            git rev-parse --is-inside-work-tree >/dev/null 2>&1 ||
                die "pep8 needs a git checkout, which $top is not"
            ;;
        docs | releasenotes)
            git rev-parse --verify --quiet HEAD >/dev/null 2>&1 ||
                die "$1 needs a git checkout with a commit in it"
            ;;
    esac
}

run_part() {
    say "== $1"
    "$venv/bin/tox" run --workdir "$state/tox" -e "$@"
}

main() {
    local parts=() part arguments=()
    while [ $# -gt 0 ]; do
        part=$1
        shift
        case $part in
            -h | --help)
                usage
                return 0
                ;;
            --)
                arguments=(-- "$@")
                break
                ;;
            -*)
                die "unknown option: $part (see --help)" 2
                ;;
        esac
        is_known "$part" ||
            die "unknown part: $part (known: ${KNOWN[*]})" 2
        parts+=("$part")
    done
    [ "${#parts[@]}" -gt 0 ] || parts=("${DEFAULT[@]}")

    top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    state=${LM_TESTS_DIR:-$top/.venv-tests}
    python=${LM_PYTHON:-/usr/bin/python3}
    command -v "$python" >/dev/null || die "no Python at $python"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$python is older than 3.11; set LM_PYTHON to a newer one"
    mkdir -p "$state" || die "cannot make the folder $state"
    state=$(cd "$state" && pwd)
    venv=$state/runner
    cd "$top"

    # Variables of other Python environments must not affect the tests.
    unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
    unset TOXENV TOX_WORK_DIR TOX_OVERRIDE STESTR_CONFIG
    # git refuses to look into a checkout that belongs to another user.
    local n=${GIT_CONFIG_COUNT:-0}
    export GIT_CONFIG_COUNT=$((n + 1))
    export "GIT_CONFIG_KEY_$n=safe.directory" "GIT_CONFIG_VALUE_$n=$top"

    install_packages "${parts[@]}"
    for part in "${parts[@]}"; do
        check_git "$part"
    done
    local started
    started=$(date +%s)
    make_runner

    local result=0 code begin summary=()
    for part in "${parts[@]}"; do
        begin=$SECONDS
        code=0
        run_part "$part" "${arguments[@]}" || code=$?
        if [ "$code" -eq 0 ]; then
            summary+=("$(printf '%-14s %4d s  ok' \
                "$part" $((SECONDS - begin)))")
        else
            summary+=("$(printf '%-14s %4d s  FAILED (exit code %d)' \
                "$part" $((SECONDS - begin)) "$code")")
            [ "$result" -ne 0 ] || result=$code
        fi
    done

    printf '\n'
    printf '%s\n' "${summary[@]}"
    local folders=()
    case " ${parts[*]} " in
        *' cover '* | *' py3 '*) folders+=("$top") ;;
    esac
    case " ${parts[*]} " in
        *' zuul '*) folders+=("$state/tox/zuul") ;;
    esac
    case " ${parts[*]} " in
        *' functional '*) folders+=("$state/tox/functional") ;;
    esac
    if [ "${#folders[@]}" -gt 0 ] && ! "$venv/bin/python" tools/totals.py \
            --title 'unit tests: ' --since "$started" "${folders[@]}"; then
        [ "$result" -ne 0 ] || result=1
    fi
    return "$result"
}

main "$@"
