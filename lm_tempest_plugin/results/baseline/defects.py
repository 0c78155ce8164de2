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

"""What is wrong with the figures of the white paper of 2017.

Found by going through its scripts and its published result files.
"""

_DEFECTS = (
    'Failures are missing. The paper says that no live migration failed; its '
    'logs have 42 that did. Their times were taken out of the published '
    'files by hand, and six drains stand in one of them twice.',
    'A duration is from the request until the status of the server, which '
    'was looked at every 2 s, was as before, with a limit of 400 s: checks, '
    'queue, copy and clean-up in one figure.',
    'The graph of batches is called time to empty a host and shows the mean '
    'time of one server. That mean is what queueing alone comes to, with N '
    'servers that take S seconds each: S (N + 1) / 2, to within 0.7 s. To '
    'empty the host took 206, 253, 268 and 269 s with batches of 1 to 4.',
    'S grew from 17 to 22 s, most of it while the size of batches was the '
    'same: something changed in the course of the time, such as the memory '
    'that guests used. There was no warm-up, no repetition and one fixed '
    'order, so that "one at a time works best" does not follow.',
    'Nobody looked whether tunnelling and the limit of concurrent live '
    'migrations were in force. On shared storage tunnelling took 1.9 to 2.1 '
    'times as long, on block storage it made no difference; so it may not '
    'have been active there.',
    'Block storage was measured on Newton, shared storage on Mitaka, with '
    'another libvirt: what differs between them is not due to storage '
    'alone.',
    'Downtime is counted in lost pings, 0.5 s for each. One ping went after '
    'the other to all servers, with a pause of 0.5 s: outages of 0.3 s were '
    'missed in most cases, longer ones came out at half their length. There '
    'is a sum for each server over the whole run, and no single outage.',
    'The TCP test could not fail: it looks for missing numbers on one '
    'connection, where TCP leaves out none. How long the connection stood '
    'still was not measured, and servers that had not come back to the '
    'first host were not looked at.',
    'The band in the graphs is one standard deviation; the legend calls it '
    'minimum and maximum.',
)


def defects() -> tuple[str, ...]:
    """Return what is wrong with the published figures, in words."""
    return _DEFECTS
