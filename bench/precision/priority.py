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

"""Run before everybody else: truth must not be late."""

import gc
import os

FIFO_PRIORITY = 50
NICENESS = -20


def urgent() -> str:
    """Give this process the highest priority that it may have.

    The garbage collector is switched off as well: what calls this makes no
    cycles, and does not live long.

    :returns: which priority it is
    """
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
        return 'SCHED_FIFO %d' % FIFO_PRIORITY
    except PermissionError:
        return 'niceness %d' % os.nice(NICENESS)
