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

from lm_tempest_plugin.guests.workloads import keeper
from lm_tempest_plugin.tests.unit.guests import programs

PAGE = 4096


class KeeperTest(programs.ProgramTestCase):

    def setUp(self):
        super().setUp()
        self.pages = self.memory / 'lm-keeper' / 'pages'

    def passes(self):
        return self.log()[-1][1] // 256

    def begin(self, rate=4):
        """Start it, and wait for some passes."""
        workload = self.start(keeper.KeeperWorkload(rate, 1))
        self.wait_for(lambda: self.passes() >= 2)
        return workload

    def test_it_increments_every_page(self):
        for shell in self.each_shell():
            workload = self.begin()
            self.assertEqual('', workload.verify(self.run_here), shell)
            self.assertEqual(256 * PAGE, self.pages.stat().st_size)
            text = self.pages.read_text()
            for number in (0, 1, 255):
                page = text[number * PAGE:(number + 1) * PAGE]
                counter, place, padding, end = page.split()
                self.assertEqual((number, counter), (int(place), end))
                self.assertEqual('keeper', padding[:6])
                self.assertGreaterEqual(int(counter), 1)
            workload.stop(self.run_here)

    def problem(self, change):
        """Return the problem that is found after a page was changed.

        :param change: takes the page 7, and returns the changed one
        """
        workload = self.begin(rate=1)
        with open(self.pages, 'r+b') as opened:
            opened.seek(7 * PAGE)
            page = opened.read(PAGE)
            opened.seek(7 * PAGE)
            opened.write(change(page))
        self.wait_for(lambda: workload.verify(self.run_here))
        return workload.verify(self.run_here)

    def test_an_old_page(self):
        for shell in self.each_shell():
            found = self.problem(
                lambda page: page.replace(page[:10], b'%010d' % 0))
            self.assertRegex(found, 'page 7 of 256 has counter 0000000000 at '
                             'its begin and 0000000000 at its end instead of '
                             '[1-9][0-9]*, and place 00000007', shell)

    def test_half_an_old_page(self):
        found = self.problem(lambda page: b'%010d' % 0 + page[10:])
        self.assertRegex(found, 'has counter 0000000000 at its begin and '
                         '0*[1-9][0-9]* at its end')

    def test_the_page_of_another_place(self):
        found = self.problem(
            lambda page: page.replace(b' 00000007 ', b' 00000008 '))
        self.assertIn('page 7 of 256', found)
        self.assertIn('place 00000008', found)

    def test_a_page_of_zeros(self):
        for shell in self.each_shell():
            self.assertIn('page 7 of 256 has counter "unreadable"',
                          self.problem(lambda page: bytes(PAGE)), shell)
