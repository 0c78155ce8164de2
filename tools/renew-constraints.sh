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
# Renew tools/constraints-tests.txt: pin the newest versions that work together,
# and keep the versions that the lab pins. Then review the diff, run
# tools/run-tests.sh, and commit.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${LM_PYTHON:-/usr/bin/python3}
target=$top/tools/constraints-tests.txt

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --upgrade pip

agree=()
if [ -f "$top/lab/constraints-tempest.txt" ]; then
    agree=(--constraint "$top/lab/constraints-tempest.txt")
fi
"$scratch/venv/bin/pip" install --quiet --upgrade "${agree[@]}" \
    --requirement "$top/requirements.txt" \
    --requirement "$top/test-requirements.txt" \
    --requirement "$top/doc/requirements.txt" \
    --requirement "$top/bench/requirements.txt" \
    --requirement "$top/gate/requirements.txt" \
    --requirement "$top/tools/requirements-style.txt" \
    --requirement "$top/tools/requirements-runner.txt" \
    setuptools wheel
"$scratch/venv/bin/pip" check

{
    echo '# Every version that the tests run with.'
    echo '# Written by tools/renew-constraints.sh.'
    "$scratch/venv/bin/pip" freeze --all
} >"$scratch/constraints"
cp "$scratch/constraints" "$target"
echo "$target: pinned $(grep --count '==' "$target") packages"
