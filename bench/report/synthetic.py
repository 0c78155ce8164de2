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

"""Many records, as large as those of a cloud."""

from collections.abc import Iterator
import pathlib
import random
from typing import Any

from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit.results import builders

# Servers of each flavor; a drain has 12.
OF_EACH = 4
# Looks at a live migration, and times at which nova was asked how far it is.
TRANSITIONS, SAMPLES, EVENTS, OUTAGES = 10, 18, 8, 4
BAD_EVERY = 997


def write(directory: pathlib.Path, attempts: int, seed: int = 0
          ) -> pathlib.Path:
    """Write a file of records with its head, and return its path.

    Not line by line down to the disk, as a run does: that would take hours.

    :param directory: where
    :param attempts: how many live migrations there are to be, at least
    :param seed: of the random numbers
    """
    lines = chain.Chain('bench')
    path = directory / ('bench' + chain.SUFFIX)
    with open(path, 'wb') as stream:
        stream.write(lines.append(
            collection.RUN, builders.run_line()) + b'\n')
        for kind, body in _bodies(attempts, seed):
            stream.write(lines.append(kind, body) + b'\n')
    chain.head_path(path).write_text(
        '{"lines": %d, "digest": "%s"}' % (lines.count, lines.previous))
    return path


def _bodies(attempts: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and body of each line, up to the end of a drain."""
    in_trip = 2 * OF_EACH * len(matrix.FLAVORS) * len(matrix.CELLS)
    plan = matrix.Plan(trips=-(-attempts // in_trip), of_each=OF_EACH,
                       seed=seed)
    drawn = random.Random(seed)
    count = 0
    for kind, body in matrix.lines(plan):
        if kind == collection.ATTEMPT:
            count += 1
            body = _large(body, drawn)
            if not count % BAD_EVERY:
                body['violations'] = ['stall of 4.000 s, more than 3 s']
        yield kind, body
        if kind == collection.DRAIN and count >= attempts:
            return


def _large(body: dict[str, Any], drawn: random.Random) -> dict[str, Any]:
    """Return an attempt with all that the tests of a cloud know of it."""
    server_id = '%032x' % drawn.getrandbits(128)
    return {
        **body,
        'migration_records': [{
            'number': drawn.randrange(100000), 'uuid': server_id,
            'server_id': server_id, 'status': 'completed',
            'source': body['source'], 'destination': body['destination'],
            'created_at': '2026-11-25T08:00:00.000000',
            'updated_at': '2026-11-25T08:00:20.000000'}],
        'transitions': [{
            'at_s': drawn.uniform(0, 20), 'uncertainty_s': drawn.random(),
            'what': 'server' if number % 2 else 'record',
            'state': 'ACTIVE, task migrating, on compute1'}
            for number in range(TRANSITIONS)],
        'progress': [{
            'at_s': drawn.uniform(0, 20),
            **{'%s_bytes' % name: drawn.randrange(2 ** 34) for name in (
                'memory_total', 'memory_processed', 'memory_remaining',
                'disk_total', 'disk_processed', 'disk_remaining')}}
            for _number in range(SAMPLES)],
        'events': ['compute_pre_live_migration on host %s: Success' %
                   body['destination']] * EVENTS,
        'guest': {'answers': True, 'boot_id_before': server_id,
                  'boot_id_after': server_id, 'unread': ''},
        'icmp': {**body['icmp'], 'outages': [{
            'start_monotonic_s': drawn.uniform(5000, 9000),
            'end_monotonic_s': drawn.uniform(5000, 9000),
            'duration_s': drawn.random(), 'error_bound_s': drawn.random(),
            'lost': 20, 'late': 2, 'kind': 'mixed', 'open': False}
            for _number in range(OUTAGES)]},
        'prober': {name: drawn.random() for name in (
            'period_s', 'achieved_period_s', 'lateness_p50_s',
            'lateness_p99_s', 'lateness_max_s', 'max_gap_s', 'due',
            'deadlines_missed', 'send_errors', 'wall_clock_steps',
            'kernel_stamps_refused', 'answers_dropped')}}
