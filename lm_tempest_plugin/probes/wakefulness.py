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


"""Keeps this machine's CPUs from sleeping, where that is allowed.

A CPU that sleeps wakes up late: in a virtual machine, whose hypervisor has to
give it a CPU first, by milliseconds. That is as long as what is to be found.
Linux lets who may write to /dev/cpu_dma_latency (root, as a rule) say how
long waking up may take, for as long as the file is kept open: see the
kernel's documentation, power/pm_qos_interface.rst. All CPUs spin then
instead of sleeping. cyclictest of rt-tests
does the same for the same reason.
"""

from collections.abc import Iterator
import contextlib
import struct

DEVICE = '/dev/cpu_dma_latency'
# A signed number of 32 bits, in microseconds.
NO_LATENCY = struct.pack('=i', 0)


@contextlib.contextmanager
def awake(device: str = DEVICE) -> Iterator[str]:
    """Keep the CPUs awake, if that is possible.

    :param device: what is written to; another file for tests
    :returns: a context manager that gives why it is not possible, or ''
    """
    with contextlib.ExitStack() as stack:
        reason = ''
        try:
            stack.enter_context(
                open(device, 'wb', buffering=0)).write(NO_LATENCY)
        except OSError as exc:
            reason = '%s: %s' % (device, exc.strerror)
        yield reason
