#!/usr/bin/env bash
# Start a real Zuul on this machine, which tests changes in the lab.
# Options: see --help.
set -euo pipefail

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# Use Debian's Python: bubblewrap shows it to Ansible.
python=/usr/bin/python3
if [ ! -x "$python" ]; then
    echo "run-zuul.sh: ${python} is missing. Install it:" \
        "apt-get install python3" >&2
    exit 1
fi
export PYTHONPATH=$repository
unset PYTHONHOME
exec "$python" -m gate "$@"
