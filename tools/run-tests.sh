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
# Run the tests that need no cloud. See usage() below, or --help.

set -euo pipefail

readonly KNOWN=(cover pep8 docs zuul functional py3 releasenotes genconfig
    uuidgen bench-probes)
readonly DEFAULT=(cover pep8 docs zuul functional)

usage() {
    cat <<'EOF'
usage: tools/run-tests.sh [PART...] [-- ARGUMENT...]

Run the tests that need no cloud. Without PART: cover, pep8, docs, zuul and
functional.

  cover         run the unit tests of the plugin, the lab, the benchmarks and
                the tools; fail if they cover less than 85 % of the code
  py3           run the same unit tests without coverage
  pep8          check style (pre-commit with hacking and ruff), types (mypy),
                ids of the Tempest tests, and the sample configuration
  docs          build the documentation; a warning is an error
  zuul          check what a running Zuul does not show: that the options which
                the jobs set exist, and that both hosts get the same variables;
                check the jobs with Zuul's own parser, the playbooks with
                Ansible. tools/run-zuul.sh runs a real Zuul
  functional    open reports in Chromium, import metrics into Prometheus'
                promtool and InfluxDB
  releasenotes  check the release notes
  genconfig     generate etc/lm_tempest_plugin.conf.sample
  uuidgen       add ids to Tempest tests without one
  bench-probes  measure the precision of the probes, ping, fping and others in
                network namespaces, and write bench-results/; needs root; takes
                about eight minutes, or a minute and a half with "-- --quick"

Each part has a tox environment, which is kept to make the next run fast.
Arguments after -- are passed to the command of each part. Debian packages that
are missing are installed if the user is root.

environment:
  LM_TESTS_DIR  directory for the virtualenvs (default: .venv-tests in the
                repository)
  LM_PYTHON     Python interpreter (default: /usr/bin/python3)

exit code: the exit code of the first part that failed; 2 if the command line
is wrong.
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

# Commands that bench-probes needs, each with its Debian package.
readonly BENCH_COMMANDS=(ip:iproute2 nft:nftables fping:fping
    ping:iputils-ping unshare:util-linux stress-ng:stress-ng)

# Commands that functional needs, each with its Debian package.
readonly FUNCTIONAL_COMMANDS=(chromium:chromium chromedriver:chromium-driver
    influxd:influxdb promtool:prometheus)

# Print the missing Debian packages of the given parts.
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

# All parts need python3-venv to create virtualenvs, and git because pbr gets
# the plugin's version from it. Everything else comes from PyPI as wheels.
install_packages() {
    local missing=()
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        die "missing: ${missing[*]}. As root: apt-get install ${missing[*]}"
    fi
    command -v apt-get >/dev/null ||
        die "missing: ${missing[*]}. There is no apt-get here; install them"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 || die 'apt-get update failed (see above)'
    apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 ||
        die "apt-get could not install ${missing[*]} (see above)"
}

# Print everything that the virtualenv depends on. A change recreates it.
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
    say "creating a virtualenv for tox in $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv" ||
        die "$python could not create a virtualenv in $venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --constraint "$top/tools/constraints-tests.txt" \
        --requirement "$top/tools/requirements-runner.txt" ||
        die 'pip could not install tox (see above)'
    recipe >"$venv/recipe"
}

# pre-commit gets the list of files from git, and reno the history of notes.
check_git() {
    case $1 in
        pep8)
            git rev-parse --is-inside-work-tree >/dev/null 2>&1 ||
                die "pep8 needs a git checkout; $top is not one"
            ;;
        docs | releasenotes)
            git rev-parse --verify --quiet HEAD >/dev/null 2>&1 ||
                die "$1 needs a git checkout with at least one commit"
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
    command -v "$python" >/dev/null || die "no Python at $python. Set LM_PYTHON"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$python is older than 3.11. Set LM_PYTHON to a newer one"
    mkdir -p "$state" || die "cannot create the directory $state"
    state=$(cd "$state" && pwd)
    venv=$state/runner
    cd "$top"

    # Other Python environments and tox runs must not affect the tests.
    unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
    unset TOXENV TOX_WORK_DIR TOX_OVERRIDE STESTR_CONFIG
    # git refuses a checkout of another user unless it is declared safe.
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
    local directories=()
    case " ${parts[*]} " in
        *' cover '* | *' py3 '*) directories+=("$top") ;;
    esac
    case " ${parts[*]} " in
        *' zuul '*) directories+=("$state/tox/zuul") ;;
    esac
    case " ${parts[*]} " in
        *' functional '*) directories+=("$state/tox/functional") ;;
    esac
    if [ "${#directories[@]}" -gt 0 ] && ! "$venv/bin/python" tools/totals.py \
            --title 'unit tests: ' --since "$started" "${directories[@]}"; then
        [ "$result" -ne 0 ] || result=1
    fi
    return "$result"
}

main "$@"
