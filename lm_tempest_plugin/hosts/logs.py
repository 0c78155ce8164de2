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

"""Logs of a host: the lines of nova-compute, libvirtd and QEMU that matter.

nova's API does not show why a copy failed. libvirt's message is in the log of
nova-compute on the source alone, and QEMU's own one in QEMU's log.

Each log is printed by a command of the configuration. A program on the host
filters its lines, so that a busy host does not send all of them:

* by time. Lines begin with one; a line without one continues the line before
  it. nova writes local time without a zone, libvirtd and QEMU write UTC
  (+0000, Z). The begin is given as an age, so the clock of the host may differ
  from ours;
* the log of nova-compute by the ids of the request and of the server, too.
  oslo.log puts neither before the lines of a traceback that was logged
  without its instance, so these follow the line before them. libvirtd names
  no server in most of its messages, and QEMU has a log for each.
"""

from collections.abc import Mapping
import datetime
import math
import re
import secrets
import shlex

from oslo_utils import strutils

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.results import schema

NOVA_COMPUTE, LIBVIRTD, QEMU = 'nova-compute', 'libvirtd', 'qemu'
# Time for each log, in seconds.
TIMEOUT_S = 15
# The newest lines and bytes of each log. With debug = true nova writes some
# hundred lines for a migration.
MAX_LINES, MAX_BYTES = 2000, 256 * 1024

# mawk has no {n} in regular expressions. Errors of the command come with the
# mark, and are not filtered. devstack has colours in its logs.
_FILTER = r"""
index($0, mark) == 1 { print; next }
{
    number++
    gsub(/\033\[[0-9;]*m/, "")
    begin = substr($0, 1, 19)
    dated = begin ~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][T ][0-9]/
    if (dated) {
        sub(/T/, " ", begin)
        old = begin < (substr($0, 20) ~ /^[.,0-9]*(Z|[+]00:?00)/ ? utc : any)
    }
    if (old) next
    if (index($0, server) || request != "" && index($0, request))
        wanted = 1
    else if (dated && ($0 !~ / (ERROR|CRITICAL|TRACE) [A-Za-z0-9_.]+ / ||
                       $0 ~ /\[(None )?(req-|-)/))
        wanted = 0
    if (wanted || all) print
}
END { print mark ":number:" number + 0 }
"""
_PREAMBLE = """\
now=$(date +%s)
since=$((now - {age_s}))
export since
utc=$(date -u -d @$since '+%Y-%m-%d %H:%M:%S')
local=$(date -d @$since '+%Y-%m-%d %H:%M:%S')
# A container may have another time zone than its host.
any=$(printf '%s\\n' "$utc" "$local" | sort | head -n 1)
"""
# Of a user in a URL, such as that of the message queue.
_URL = re.compile(r'(\w://[^\s:/@]+):[^\s/@]+@')


def read(host: remote.Remote, commands: Mapping[str, str], server_id: str,
         request_id: str, since: datetime.datetime) -> list[schema.HostLog]:
    """Return the lines of each log that belong to a migration.

    :param host: the host
    :param commands: by the name of the log, a command for sh on the host that
        prints it; {server} stands for the UUID of the server, {since} for the
        begin in seconds since 1970 by the host's clock
    :param server_id: UUID of the server
    :param request_id: nova's id of the request; empty if there is none
    :param since: begin, by our clock
    :raises HostError: the host cannot be asked
    """
    mark = secrets.token_hex(16)
    age = datetime.datetime.now(datetime.UTC) - since
    lines = [_PREAMBLE.format(age_s=math.ceil(age.total_seconds()))]
    for name, command in commands.items():
        lines += [
            f'echo {mark}:log:{name}',
            _filtered(mark, command.replace('{server}', server_id).replace(
                '{since}', '$since'), {
                    'mark': mark, 'server': server_id, 'request': request_id,
                    'all': '' if name == NOVA_COMPUTE else '1'})]
    output = host.run('env', 'LC_ALL=C', 'sh', '-s', stdin='\n'.join(
        [*lines, 'exit 0', '']), timeout_s=(len(commands) + 1) * TIMEOUT_S)
    # Lines are for people, and may be cut within a character.
    output = output.encode(remote.ENCODING, remote.ERRORS).decode(
        remote.ENCODING, 'replace')
    _, *parts = re.split(f'^{mark}:log:(.*)\n', output, flags=re.MULTILINE)
    return [_log(host.name, name, mark, text.split('\n'))
            for name, text in zip(parts[::2], parts[1::2])]


def _filtered(mark: str, command: str, values: Mapping[str, str]) -> str:
    """Return a pipe for sh that prints a log's lines of one migration."""
    assigned = ' '.join(shlex.quote(f'{name}={value}')
                        for name, value in values.items())
    return (
        # The standard input is this program. The errors go through sed, the
        # log does not.
        f'{{ {{ timeout {TIMEOUT_S} sh -c {shlex.quote(command)} </dev/null '
        f'2>&1 >&3 3>&- | sed "s/^/{mark}:error:/" ; }} 3>&1 ; }} | '
        f'awk {shlex.quote(_FILTER)} {assigned} utc="$utc" any="$any" - | '
        f'tail -n {MAX_LINES} | tail -c {MAX_BYTES}; echo')


def _log(host: str, name: str, mark: str, printed: list[str]
         ) -> schema.HostLog:
    """Return a log from the lines that its pipe printed."""
    errors = [line.removeprefix(f'{mark}:error:') for line in printed
              if line.startswith(f'{mark}:error:')]
    lines = [line for line in printed if line and not line.startswith(mark)
             # The command line of QEMU: dozens of lines that end so.
             and not (name == QEMU and line.endswith(
                 ('\\', '-msg timestamp=on')))]
    error = ''
    if not lines:
        error = ' '.join(errors)
        if not error and f'{mark}:number:0' in printed:
            error = 'its command printed nothing'
    text = _URL.sub(r'\1:***@', strutils.mask_password('\n'.join(lines)))
    return schema.HostLog(host=host, name=name, error=error,
                          lines=tuple(text.split('\n')) if lines else ())
