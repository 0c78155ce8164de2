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

"""Compute hosts without SSH, for tests."""

import dataclasses
import hashlib
import shlex

from lm_tempest_plugin.hosts import remote

NOVA_CONF = '/etc/nova/nova.conf'
TEXT = """\
# Mine.
[DEFAULT]
debug = True
max_concurrent_live_migrations = 1
[libvirt]
# live_migration_tunnelled = False
virt_type = qemu
"""


def host_site(name='alpha', **values):
    """Return a site."""
    return dataclasses.replace(remote.Site(
        name=name, address='192.0.2.1', port=22, user='nova', key_file='key',
        known_hosts_file='known', sudo=False, nova_conf=NOVA_CONF,
        restart_command='restart', pid_command='pid'), **values)


class Killed(BaseException):
    """The test process was killed."""


class Host:
    """Stands in for a Remote: files, a nova-compute and a few commands.

    :ivar files: text by path
    :ivar process: id of nova-compute; 0 if it does not run
    :ivar processes: ids of all processes
    :ivar refuses: takes the text of nova.conf and returns whether
        nova-compute cannot start with it
    :ivar commands: command lines that were run
    :ivar dies_at: number of the command before which the tests are killed
    :ivar fails: part of a command line that fails
    """

    def __init__(self, name='alpha', text=TEXT):
        self.site = host_site(name)
        self.files = {NOVA_CONF: text, '/etc/nova/api-paste.ini': 'paste'}
        self.process = 100
        self.processes = {100}
        self.running = text
        self.refuses = lambda text: False
        self.commands = []
        self.dies_at = None
        self.fails = None
        self.closed = False
        self.before = lambda line: None

    @property
    def name(self):
        return self.site.name

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def run(self, *command, stdin='', timeout_s=30.0):
        if self.dies_at is not None and len(self.commands) >= self.dies_at:
            raise Killed
        line = shlex.join(command)
        self.before(line)
        self.commands.append(line)
        if self.fails is not None and self.fails in line:
            raise remote.CommandFailed(
                f'{self.site}: {line!r} ended with status 1: no')
        return getattr(self, '_' + command[0])(
            [word for word in command[1:] if not word.startswith('--')],
            stdin)

    def _sh(self, words, stdin):
        line = words[1]
        if line == 'restart':
            self._restart()
            return ''
        if line == 'pid':
            return f'{self.process}\n'
        process = int(line.removeprefix('test -d /proc/').split()[0])
        return 'yes\n' if process in self.processes else '\n'

    def _restart(self):
        self.processes.discard(self.process)
        self.running = self.files[NOVA_CONF]
        if self.refuses(self.running):
            self.process = 0
            return
        self.process = 101 + len(self.commands)
        self.processes.add(self.process)

    def _readlink(self, words, stdin):
        return words[0]

    def _cat(self, words, stdin):
        return self.files[words[0]]

    def _cp(self, words, stdin):
        self.files[words[1]] = self.files[words[0]]
        return ''

    def _sync(self, words, stdin):
        return ''

    def _mv(self, words, stdin):
        self.files[words[1]] = self.files.pop(words[0])
        return ''

    def _rm(self, words, stdin):
        for path in words:
            self.files.pop(path, None)
        return ''

    def _dd(self, words, stdin):
        path = words[0].removeprefix('of=')
        assert path in self.files, f'mode and owner of {path} are lost'
        self.files[path] = stdin
        return ''

    def _ls(self, words, stdin):
        directory = words[-1].rstrip('/') + '/'
        return ''.join(f'{path.removeprefix(directory)}\n'
                       for path in self.files if path.startswith(directory))

    def _sha256sum(self, words, stdin):
        digest = hashlib.sha256(self.files[words[0]].encode()).hexdigest()
        return f'{digest}  {words[0]}\n'


class Answering:
    """Stands in for a Remote: returns answers in turn, the last for ever.

    :ivar asked: the commands, as lists of words
    :ivar timeouts: time-outs of the commands, in seconds
    """

    def __init__(self, *answers, name='compute1'):
        """Prepare.

        :param answers: output of a command, or an exception to raise
        """
        self.name = name
        self.asked = []
        self.timeouts = []
        self._answers = list(answers)

    def run(self, *command, stdin='', timeout_s=30.0):
        self.asked.append(list(command))
        self.timeouts.append(timeout_s)
        answer = (self._answers.pop(0) if len(self._answers) > 1
                  else self._answers[0])
        if isinstance(answer, BaseException):
            raise answer
        return answer


def refusal():
    """Return the error of a host that cannot be reached."""
    return remote.HostError('compute1: no route to host')
