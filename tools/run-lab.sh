#!/usr/bin/env bash
# Start an OpenStack cloud on this machine, and run Tempest against it. Options:
# see --help.
set -euo pipefail

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# Use Debian's Python: Debian's Python modules are compiled for it.
python=/usr/bin/python3
if [ ! -x "$python" ]; then
    echo "run-lab.sh: ${python} is missing. Install it:" \
        "apt-get install python3" >&2
    exit 1
fi
export PYTHONPATH=$repository
unset PYTHONHOME
exec "$python" -m lab "$@"
