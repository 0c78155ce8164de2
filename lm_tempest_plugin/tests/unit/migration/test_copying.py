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

from lm_tempest_plugin.migration import copying
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base

MIB = copying.MIB
Pace = copying.Pace


def job(sent_mib, remaining_mib, dirtied_mib_per_s=0, disk_sent_mib=0,
        disk_remaining_mib=0):
    return schema.LibvirtJob(
        memory_bytes_total=1024 * MIB,
        memory_bytes_processed=sent_mib * MIB,
        memory_bytes_remaining=remaining_mib * MIB, page_bytes=4096,
        dirty_pages_per_s=dirtied_mib_per_s * MIB // 4096,
        disk_bytes_processed=disk_sent_mib * MIB,
        disk_bytes_remaining=disk_remaining_mib * MIB)


def progress(at_s, sent_mib, remaining_mib):
    return schema.Progress(
        at_s=at_s, memory_total_bytes=1024 * MIB,
        memory_processed_bytes=sent_mib * MIB,
        memory_remaining_bytes=remaining_mib * MIB, disk_total_bytes=0,
        disk_processed_bytes=0, disk_remaining_bytes=0)


class CopyingTestCase(base.TestCase):

    def assert_copying(self, found, pace, *parts):
        self.assertEqual(pace, found.pace, found.text)
        for part in parts:
            self.assertIn(part, str(found))


class OfJobsTest(CopyingTestCase):

    def test_paces(self):
        for first, second, pace, *parts in (
                (job(100, 900), job(150, 850), Pace.MOVES,
                 'the copy moves: 10.0 MiB/s, about 85 s more', '850 MiB',
                 'within 5 s, by libvirt'),
                (job(1500, 100, 7), job(1550, 90, 7), Pace.MOVES,
                 'about 30 s more'),
                (job(0, 0, 0, 100, 400), job(0, 0, 0, 150, 350), Pace.MOVES,
                 '10.0 MiB/s, about 35 s more'),
                (job(100, 900), job(100, 900), Pace.STANDS_STILL,
                 'nothing was sent', '900 MiB remain'),
                (job(100, 90, 20), job(150, 90, 20), Pace.NOT_CONVERGING,
                 'the guest writes 20.0 MiB/s, 10.0 MiB/s are sent'),
                (job(1500, 100, 9), job(1550, 90, 9), Pace.NOT_CONVERGING,
                 'the guest writes 9.0 MiB/s, 10.0 MiB/s are sent'),
                (job(1500, 90), job(1550, 90), Pace.NOT_CONVERGING,
                 '1550 MiB of 1024 MiB were sent')):
            self.assert_copying(
                copying.of_jobs(first, second, 5.0), pace, *parts)

    def test_nothing_is_left_to_send(self):
        self.assertIsNone(copying.of_jobs(job(90, 9), job(99, 0), 5.0))


class OfProgressTest(CopyingTestCase):

    def test_the_same_figures_of_nova_are_no_standstill(self):
        """Figures that are newer than nova's interval prove nothing."""
        self.assertIsNone(copying.of_progress([]))
        self.assertIsNone(copying.of_progress(
            [progress(2, 90, 9), progress(4, 90, 9)]))

    def test_paces(self):
        seen = [progress(0, 0, 1024), progress(8, 100, 924)]
        self.assert_copying(
            copying.of_progress([*seen, progress(20, 220, 804)]), Pace.MOVES,
            '10.0 MiB/s', 'within 12 s, by nova')
        self.assert_copying(
            copying.of_progress([*seen, progress(20, 100, 924)]),
            Pace.STANDS_STILL)
        self.assert_copying(
            copying.of_progress([
                progress(60, 1200, 90), progress(72, 1300, 90)]),
            Pace.NOT_CONVERGING)
