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

"""Hosts in the report, as a browser shows them: a few, and a thousand."""

import os
import pathlib
import tempfile

import msgspec
from selenium.webdriver.common import keys

from lm_tempest_plugin.results import renderers
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.functional import browser
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

FEW, MANY = 20, 1000
PAGE_BYTES = 10_000_000
ROWS = """
return Array.from(document.querySelectorAll('#hosts tbody tr')).filter(
  (row) => !row.hidden).map((row) => row.cells[0].textContent);
"""
ORDERS = """
return Array.from(document.querySelectorAll('#hosts thead th')).map(
  (each) => each.getAttribute('aria-sort'));
"""


def write(directory, count):
    """Write a report about so many hosts, each with two partners.

    Nothing can be migrated to compute7. The names are as long as those of
    many clouds.
    """
    def line(each):
        if getattr(each, 'destination', '').startswith('compute7.') and \
                hasattr(each, 'verdict'):
            return msgspec.structs.replace(
                each, verdict='rolled back', cause='no secret <b>',
                problems=(builders.problem('no secret', 'verdict'),))
        return each

    names = [f'compute{number}.rack.example.org' for number in range(count)]
    path = builders.write(directory, f'hosts-{count}', map(
        line, matrix.lines(matrix.SimulatedRun(
            matrix=matrix.MATRIX[:1], hosts=names, round_trips=1,
            of_each=1, sampled=False))))
    page = path.with_suffix('.html')
    results = store.read([path])
    # The hosts of the builders' run have no migrations.
    results.runs[:] = [msgspec.structs.replace(results.runs[0], hosts=())]
    page.write_text(renderers.html(report.build(results)), 'utf-8')
    return page


class HostsTest(base.TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        path = pathlib.Path(directory.name)
        cls.few, cls.many = write(path, FEW), write(path, MANY)
        cls.chromium = cls.enterClassContext(browser.Browser())

    def look(self, page, name):
        """Check everything that is the same at any width."""
        self.assertEqual([], self.chromium.console())
        self.assertEqual([], [
            url for url in self.chromium.requests()
            if url != page.as_uri() and
            not url.startswith(('data:', 'blob:'))])
        self.assertLessEqual(*self.chromium.run(
            'return [document.documentElement.scrollWidth, '
            'window.innerWidth];'))
        self.assertEqual([], browser.overlaps(
            self.chromium.run(browser.TEXTS)))
        if directory := os.environ.get('LM_REPORT_PICTURES'):
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
            self.chromium.picture(pathlib.Path(directory) / name)

    def rows(self):
        """Return the names in the rows that are shown."""
        return [each.partition('.')[0] for each in self.chromium.run(ROWS)]

    def press(self, *pressed):
        """Press keys where the focus is."""
        self.chromium.driver.switch_to.active_element.send_keys(*pressed)

    def focus(self, selector):
        self.chromium.run(
            f'document.querySelector("#hosts {selector}").focus();')

    def test_heat_map(self):
        for width in (1280, 360):
            self.chromium.open(self.few, width)
            self.look(self.few, f'hosts-few-{width}.png')
            plot = self.chromium.run(browser.TRACES)[0]
            self.assertEqual('host-pairs', plot['key'])
            self.assertGreater(min(plot['sizes']), 150)
            marks = self.chromium.run(
                'return Array.from(document.querySelectorAll('
                '"#hosts .heatmap-label")).map((each) => each.textContent);')
            self.assertEqual(2 * FEW, len(marks))
            self.assertEqual(2, marks.count('✗'))
        self.assertEqual([], self.chromium.run(
            'return Array.from(document.querySelectorAll("input"));'))

    def test_a_thousand_hosts(self):
        self.assertLess(self.many.stat().st_size, PAGE_BYTES)
        for width in (1280, 390):
            self.chromium.open(self.many, width)
            self.look(self.many, f'hosts-many-{width}.png')
            self.assertEqual(MANY, len(self.rows()))
            self.assertEqual('compute7', self.rows()[0])
            # The rest of the page is not far below.
            self.assertLess(self.chromium.run(
                'return document.getElementById("hosts").offsetHeight;'),
                2 * browser.HEIGHT)

    def test_search(self):
        self.chromium.open(self.many, 1280)
        self.focus('input')
        for text, expected in (
                ('compute99', 11), ('compute99 GOOD', 11),
                ('no secret', 1), ('<b>', 1), ('nothing at all', 0)):
            self.press(text)
            self.assertEqual(expected, len(self.rows()), text)
            self.assertEqual(
                f'{expected} of {MANY} rows', self.chromium.run(
                    'return document.querySelector("#hosts output")'
                    '.textContent;'))
            self.press(keys.Keys.CONTROL, 'a')
            self.press(keys.Keys.DELETE)
            self.assertEqual(MANY, len(self.rows()))

    def test_sort(self):
        self.chromium.open(self.many, 1280)
        worst = self.rows()
        self.focus('input')
        self.press(keys.Keys.TAB)
        # The box that scrolls is between the input and the headings.
        self.press(keys.Keys.TAB)
        for order, first in (
                ('ascending', ['compute0', 'compute1', 'compute2']),
                ('descending', ['compute999', 'compute998', 'compute997']),
                ('none', worst[:3])):
            self.press(keys.Keys.ENTER)
            self.assertEqual(first, self.rows()[:3])
            self.assertEqual([order, *['none'] * 5],
                             self.chromium.run(ORDERS))
        # Figures sort by size, not by digits.
        self.focus('th:nth-child(5) button')
        self.press(keys.Keys.SPACE)
        durations = self.chromium.run(
            'return Array.from(document.querySelectorAll('
            '"#hosts td:nth-child(5)")).map((each) => each.textContent);')
        known = [float(each) for each in durations if each != '–']
        self.assertEqual(sorted(known), known)
        self.assertGreater(max(known), 10)
        self.assertLess(min(known), 10)

    def test_without_scripts(self):
        # Nothing that does nothing is shown.
        self.chromium.driver.execute_cdp_cmd(
            'Emulation.setScriptExecutionDisabled', {'value': True})
        try:
            self.chromium.driver.get(self.many.as_uri())
            box = self.chromium.driver.find_element(
                'css selector', '#hosts .search')
            self.assertFalse(box.is_displayed())
            self.assertEqual([], self.chromium.driver.find_elements(
                'css selector', '#hosts button'))
        finally:
            self.chromium.driver.execute_cdp_cmd(
                'Emulation.setScriptExecutionDisabled', {'value': False})
