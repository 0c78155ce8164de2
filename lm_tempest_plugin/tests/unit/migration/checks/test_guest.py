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

import msgspec

from lm_tempest_plugin.migration.checks import guest
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration.checks import base


class BootIdTest(base.CheckTestCase):

    check = staticmethod(guest.boot_id)

    def observation(self, inspected):
        return builders.observation(builders.judged(
            builders.new_evidence(guest=inspected)))

    def test_the_boot_id_from_before(self):
        self.assert_passes(self.observation(builders.ANSWERS))

    def test_a_silent_guest_is_no_matter_of_its_boot_id(self):
        self.assert_passes(self.observation(builders.SILENT))

    def test_a_boot_id_that_cannot_be_read(self):
        self.assert_problem(
            self.observation(schema.GuestState(
                answers=True, boot_id_before='boot-1',
                boot_id_error='no SSH')),
            'the boot id cannot be read: no SSH')

    def test_a_guest_that_has_booted_again(self):
        self.assert_problem(
            self.observation(builders.REBOOTED),
            'the guest has booted again: boot id boot-2, before boot-1')

    def test_no_boot_id_was_read_before(self):
        self.assert_skipped(
            builders.observation(plan=builders.new_plan(
                plan.PlannedServer(fakes.SERVER_ID))),
            'no boot id was read before')


S = 10 ** 9
BEFORE = schema.GuestInspection(
    boot_id='boot-1', at_ns=100 * S, uptime_ahead_s=-90.0,
    uptime_error_s=0.25, wall_ahead_s=3600.0, wall_error_s=0.75,
    metadata_server_id=fakes.SERVER_ID, leased_address='192.0.2.1',
    disk_write_s=0.05, read_only=('/boot',), read_write=('/', '/data'),
    kernel_lines=('[1.0] an old BUG',),
    written_sectors={'vda': 0, 'vda1': 7, 'vda2': 5, 'vdb': 0},
    base_image={'vda@0': 'a', 'vda1@0': 'b', 'vda2@0': 'c', '/bin/x:9:1': 'd'},
    ephemeral_disks={'vdb@0': 'e'})


def changed(inspection=BEFORE, **changes):
    """Return other facts, read 20 s later."""
    return msgspec.structs.replace(
        inspection, **{'at_ns': 120 * S, **changes})


class InspectionTestCase(base.CheckTestCase):

    def seen(self, before=BEFORE, after=None, **changes):
        """Return an observation with these facts.

        :param changes: of the facts after the migration
        """
        return builders.observation(
            builders.judged(inspection=after or changed(**changes)),
            plan=builders.new_plan(plan.PlannedServer(
                fakes.SERVER_ID, '192.0.2.1', before)))

    def assert_compared(self, works=True):
        """Assert what holds for all checks that compare facts.

        :param works: whether the check is of something that may fail
        """
        self.assert_passes(self.seen())
        if works:
            self.assert_problem(
                self.seen(failed={self.slug: 'it broke'}), 'it broke')
            self.assert_skipped(
                self.seen(msgspec.structs.replace(
                    BEFORE, failed={self.slug: 'it broke'}),
                    failed={self.slug: 'it broke'}),
                'before the migration: it broke')
        self.assert_skipped(
            self.seen(skipped={self.slug: 'no tool'}), 'no tool')
        self.assert_skipped(
            self.seen(msgspec.structs.replace(
                BEFORE, skipped={self.slug: 'no tool'})), 'no tool')
        self.assert_skipped(self.seen(None), 'not inspected before')
        self.assert_skipped(
            builders.observation(plan=builders.new_plan(
                plan.PlannedServer(fakes.SERVER_ID, '', BEFORE))),
            'the guest was not inspected')
        # All else would be a consequence.
        self.assert_skipped(self.seen(
            boot_id='boot-2', failed={self.slug: 'it broke'}),
            'has booted again')


class MetadataTest(InspectionTestCase):

    check = staticmethod(guest.metadata)

    def test_answers(self):
        self.assert_compared()

    def test_another_server(self):
        self.assert_problem(
            self.seen(metadata_server_id='other'), 'with server other')
        # Answers without a UUID prove nothing.
        self.assert_passes(self.seen(metadata_server_id=''))
        self.assert_passes(self.seen(
            changed(metadata_server_id=''), metadata_server_id='other'))


class DhcpLeaseTest(InspectionTestCase):

    check = staticmethod(guest.dhcp_lease)

    def test_answers(self):
        self.assert_compared()

    def test_another_address(self):
        self.assert_problem(
            self.seen(leased_address='192.0.2.9'),
            'address 192.0.2.9, and offered 192.0.2.1 before')


class DiskWriteTest(InspectionTestCase):

    check = staticmethod(guest.disk_write)

    def test_works(self):
        self.assert_compared()

    def test_slow(self):
        self.assert_passes(self.seen(disk_write_s=10.0))
        self.assert_problem(
            self.seen(disk_write_s=12.25), 'took 12.2 s (limit 10 s; 0.05 s')

    def test_read_only(self):
        self.assert_problem(
            self.seen(read_only=('/boot', '/data'), read_write=('/',)),
            'the file system at /data has become read-only')


class ClockTest(InspectionTestCase):
    """The error of a change is 0.5 s, and 1.5 s for the wall clock."""

    check = staticmethod(guest.clock)

    def test_runs_on(self):
        self.assert_compared(works=False)

    def test_bounds(self):
        # A pause of 1 s is accepted, and a change of 1 s; NTP may add 0.01 s.
        for change_s, ahead in ((-2.5, ''), (-2.6, 'behind'), (1.5, ''),
                                (1.6, 'ahead of')):
            seen = self.seen(uptime_ahead_s=-90.0 + change_s)
            if ahead:
                self.assert_problem(
                    seen, 'monotonic clock (uptime) is '
                    f'{abs(change_s)} s +/- 0.5 s {ahead} ours')
            else:
                self.assert_passes(seen)

    def test_drift_in_a_long_time(self):
        self.assert_passes(self.seen(
            at_ns=4100 * S, uptime_ahead_s=-87.0))

    def test_wall_clock(self):
        self.assert_problem(
            self.seen(wall_ahead_s=3604.0),
            'wall clock is 4.0 s +/- 1.5 s ahead of ours')
        # Somebody has set it right.
        self.assert_passes(self.seen(wall_ahead_s=0.0))

    def test_unknown(self):
        self.assert_passes(self.seen(uptime_ahead_s=None, wall_ahead_s=None))


class KernelLogTest(InspectionTestCase):

    check = staticmethod(guest.kernel_log)

    def test_no_new_line(self):
        self.assert_compared(works=False)
        self.assert_passes(self.seen(kernel_lines=()))

    def test_new_lines(self):
        self.assert_problem(
            self.seen(kernel_lines=(*BEFORE.kernel_lines, '[9] hung', '[10]')),
            'logged 2 failures, the first: [9] hung')


class BaseImageTest(InspectionTestCase):

    check = staticmethod(guest.base_image)

    def test_unchanged(self):
        self.assert_compared()

    def test_changed(self):
        for place in BEFORE.base_image:
            self.assert_problem(
                self.seen(base_image={**BEFORE.base_image, place: 'z'}),
                f'other data from 1 of 4 places that nobody wrote to, the '
                f'first: {place}')

    def test_the_guest_has_written(self):
        written = {**BEFORE.written_sectors, 'vda1': 8}
        self.assert_passes(self.seen(
            written_sectors=written,
            base_image={**BEFORE.base_image, 'vda1@0': 'z'}))
        # It was written while it was read.
        self.assert_passes(self.seen(
            written_sectors={'vda': 0},
            base_image={**BEFORE.base_image, 'vda1@0': 'z'}))

    def test_nothing_can_be_compared(self):
        self.assert_skipped(self.seen(base_image={'vda3@0': 'z'}),
                            'has written to all parts')


class EphemeralDisksTest(InspectionTestCase):

    check = staticmethod(guest.ephemeral_disks)

    def test_unchanged(self):
        self.assert_compared()

    def test_changed(self):
        self.assert_problem(self.seen(ephemeral_disks={'vdb@0': 'z'}),
                            'the first: vdb@0')


class OutboundTest(InspectionTestCase):

    check = staticmethod(guest.outbound)

    def connected(self, problem):
        return builders.observation(builders.judged(
            workloads={'disk': 'bad', 'outbound': problem}))

    def test_the_connection(self):
        self.assert_passes(self.connected(''))
        self.assert_problem(self.connected('it broke'), 'it broke')

    def test_no_connection(self):
        self.assert_skipped(
            self.seen(skipped={self.slug: 'a firewall'}), 'a firewall')
        # Its workloads could not be verified, which is another problem.
        self.assert_skipped(self.seen(), 'no connection')


class WorkloadTest(InspectionTestCase):

    check = staticmethod(guest.workload)

    def test_the_work(self):
        for problem in ('', 'keeper: page 7'):
            seen = builders.observation(builders.judged(
                workloads={'disk': 'bad', 'workload': problem}))
            if problem:
                self.assert_problem(seen, problem)
            else:
                self.assert_passes(seen)

    def test_idle_guests(self):
        self.assert_skipped(self.seen(), 'the guests are idle')

    def test_a_guest_that_cannot_do_it(self):
        self.assert_skipped(builders.observation(builders.judged(
            work=schema.WorkloadFigures(skipped='no awk'))), 'no awk')
