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


"""What hosts count, for tests."""

from lm_tempest_plugin.hosts import counters

CPU = 'cpu  1000 20 300 5000 80 4 6 50 700 10'
NET = ('    lo: 99 9 0 0 0 0 0 0 99 9 0 0 0 0 0 0',
       '  eth0: 1000 9 0 0 0 0 0 0 2000 9 0 0 0 0 0 0',
       'tap0:1:5000 9 0 0 0 0 0 0 6000 9 0 0 0 0 0 0')
DISKS = ('   8       0 sda 9 0 10 0 9 0 20 0 0 0 0 0 0 0 0 0 0',
         '   8       1 sda1 9 0 10 0 9 0 20 0 0 0 0',
         ' 259       0 nvme0n1 9 0 30 0 9 0 40 0 0 0 0 0 0 0 0 0 0',
         ' 259       1 nvme0n1p2 9 0 30 0 9 0 40 0 0 0 0',
         ' 254       0 dm-0 9 0 10 0 9 0 20 0 0 0 0')
MEMORY = ('MemTotal:        1000 kB', 'MemFree:          10 kB',
          'MemAvailable:     600 kB', 'HugePages_Total:    0')


def printed(uptime='100.00 150.00', cpu=CPU, net=NET, disks=DISKS,
            memory=MEMORY, leave_out=''):
    """Return what a host prints."""
    files = {
        '/proc/uptime': [uptime],
        '/proc/stat': [cpu, 'cpu0 1 2 3 4 5 6 7 8 9 10', 'intr 7 0 0',
                       'btime 1700000000'],
        '/proc/meminfo': memory,
        '/proc/net/dev': [
            'Inter-|   Receive               |  Transmit',
            ' face |bytes    packets errs drop|bytes    packets', *net],
        '/proc/diskstats': disks,
    }
    return '\n'.join(
        '==> %s <==\n%s\n' % (name, '\n'.join(lines))
        for name, lines in files.items() if name != leave_out)


def reading(uptime_s=100.0, cpu=(0, 0, 0), interfaces=(), disks=()):
    """Return a reading.

    :param interfaces: names, and bytes in both directions
    :param disks: the same
    """
    return counters.Reading(
        uptime_s, counters.Cpu(*cpu), 1000, 600,
        {name: counters.Flow(*flow) for name, *flow in interfaces},
        {name: counters.Flow(*flow) for name, *flow in disks})
