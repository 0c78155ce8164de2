#!/usr/bin/env bash
# A real OpenStack cloud on this machine, and Tempest against it: --help.
set -euo pipefail

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# The system's own Python: Debian's modules are compiled for it.
python=/usr/bin/python3
if [ ! -x "$python" ]; then
    echo "run-lab.sh: ${python} is missing: install it with" \
        "'apt-get install python3'." >&2
    exit 1
fi
export PYTHONPATH=$repository
unset PYTHONHOME
exec "$python" -m lab "$@"
