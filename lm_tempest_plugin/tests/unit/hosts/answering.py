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

"""Hosts that answer what they are told to, for the tests of what we ask."""

from lm_tempest_plugin.hosts import remote as remotes


class Answering:
    """A host that gives one answer after the other, the last for ever.

    :ivar asked: what it was asked: the command, as words
    :ivar timeouts: how long each one was given, in seconds
    """

    def __init__(self, *answers, name='compute1'):
        """Make ready.

        :param answers: what is printed, or an exception to raise
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
    """Return what a host raises that cannot be asked."""
    return remotes.HostError('compute1: no route to host')
