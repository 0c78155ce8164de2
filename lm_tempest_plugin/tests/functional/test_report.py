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

"""The report, as the command writes it and a browser shows it."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import msgspec
from selenium.common import exceptions

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.functional import browser
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

SCRIPT = '<script>alert(1)</script>'
MARKUP = '<b onmouseover=alert(2)>'
WIDE, NARROW = 1280, 390
COMMAND_S = 120.0


def results(directory):
    """Write the results of a whole matrix, and return their path."""
    found = []
    migrations = 0
    for line in matrix.lines(matrix.SimulatedRun(
            names=((0, MARKUP), (1, SCRIPT), (2, 'x' * 255)))):
        if isinstance(line, schema.MigrationResult):
            migrations += 1
            line = _changed(migrations, line)
        found.append(line)
    return builders.write(directory, 'matrix', found)


def _changed(number, line):
    """Return a migration, changed to a bad one for some numbers."""
    if number in (62, 63):
        failed = builders.failed()
        return msgspec.structs.replace(line, **{
            name: getattr(failed, name) for name in (
                'verdict', 'cause', 'service', 'job', 'phases', 'problems')})
    if number == 104:
        [outage] = line.continuity.outage.outages
        return msgspec.structs.replace(
            line, problems=(builders.problem(),),
            continuity=msgspec.structs.replace(
                line.continuity, outage=builders.outage(
                    1.2, outage.start_ns / 1e9)))
    return line


def run_report(*arguments):
    """Run the command, and return the completed process."""
    return subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), 'tempest'),
         'live-migration-ha', 'report', *map(str, arguments)],
        capture_output=True, text=True, timeout=COMMAND_S, check=False)


class ReportTest(base.TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = pathlib.Path(directory.name)
        cls.results = results(cls.directory)
        stored = store.read([cls.results])
        cls.keys = [
            node.key for section in report.build(stored).sections
            for node in section.nodes if isinstance(node, document.Plot)]
        cls.page = cls.directory / 'report.html'
        cls.done = run_report(cls.results, '-o', cls.page)
        cls.chromium = cls.enterClassContext(browser.Browser())

    def setUp(self):
        super().setUp()
        self.assertEqual((0, '', ''), (
            self.done.returncode, self.done.stdout, self.done.stderr))

    def picture(self, name):
        """Write a picture if the environment asks for it."""
        if directory := os.environ.get('LM_REPORT_PICTURES'):
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
            self.chromium.picture(pathlib.Path(directory) / name)

    def look(self):
        """Check everything that is the same at any width."""
        self.assertEqual([], self.chromium.console())
        self.assertEqual([], [
            url for url in self.chromium.requests()
            if url != self.page.as_uri() and
            not url.startswith(('data:', 'blob:'))])
        self.assertRaises(exceptions.NoAlertPresentException,
                          lambda: self.chromium.driver.switch_to.alert)
        plots = self.chromium.run(browser.TRACES)
        self.assertEqual(self.keys, [plot['key'] for plot in plots])
        for plot in plots:
            self.assertEqual(plot['expected'], len(plot['sizes']), plot)
            self.assertGreater(min(plot['sizes']), 1, plot)
            self.assertGreater(plot['area'], 80, plot)
        self.assertLessEqual(*self.chromium.run(
            'return [document.documentElement.scrollWidth, '
            'window.innerWidth];'))
        self.assertEqual([], browser.overlaps(
            self.chromium.run(browser.TEXTS)))

    def test_on_a_desktop(self):
        self.chromium.open(self.page, WIDE)
        self.picture('report-wide.png')
        self.look()

    def test_on_a_phone(self):
        for width in (360, NARROW, 412):
            self.chromium.open(self.page, width)
            self.picture('report-%d.png' % width)
            self.look()

    def test_every_choice(self):
        self.chromium.open(self.page, WIDE)
        for key, number in self.chromium.run(
                'return Array.from(document.querySelectorAll("select")).map('
                '(each) => [each.id, each.options.length]);'):
            self.assertGreater(number, 1)
            for choice in sorted({1, number // 2, number - 1}):
                self.chromium.run(
                    'const choice = document.getElementById("%s"); '
                    'choice.closest("figure").querySelector(".canvas")'
                    '.removeAttribute("data-drawn"); choice.value = "%d"; '
                    'choice.dispatchEvent(new Event("change"));' % (
                        key, choice))
                self.chromium.wait()
                self.look()
        self.picture('report-choices.png')

    def test_names_are_text(self):
        self.chromium.open(self.page, WIDE)
        labels = self.chromium.run(
            'return Array.from(document.querySelectorAll('
            '"#timeline text")).map((each) => each.textContent);')
        self.assertIn(SCRIPT[:17] + '…', labels)
        self.assertIn(MARKUP[:17] + '…', labels)
        problems = self.chromium.run(
            'return document.getElementById("problems").textContent;')
        self.assertIn(SCRIPT, problems)
        self.assertIn('rolled back', problems)
        # A hover text is made when somebody points at something.
        self.chromium.run(
            'const plot = document.getElementById("timeline-canvas"); '
            'Plotly.Fx.hover(plot, [{curveNumber: 0, pointNumber: 1}]);')
        hover = self.chromium.run(
            'return document.querySelector("#timeline .hoverlayer")'
            '.textContent;')
        self.assertIn(SCRIPT, hover)
        self.look()

    def test_printed(self):
        self.chromium.open(self.page, WIDE)
        pdf = self.chromium.printed()
        self.assertTrue(pdf.startswith(b'%PDF'))
        # Eight plots need more than a few pages.
        self.assertGreater(pdf.count(b'/Type /Page\n'), 5)
        if directory := os.environ.get('LM_REPORT_PICTURES'):
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
            (pathlib.Path(directory) / 'report.pdf').write_bytes(pdf)
        # As before, once it is printed.
        self.chromium.wait()
        self.look()

    def test_nothing_to_plot(self):
        empty = builders.write(self.directory / 'empty', 'empty', [])
        page = self.directory / 'empty.html'
        self.assertEqual(0, run_report(empty, '-o', page).returncode)
        self.chromium.open(page, NARROW)
        self.assertEqual([], self.chromium.console())
        self.assertEqual([], self.chromium.run(browser.TRACES))
        self.assertEqual([], browser.overlaps(
            self.chromium.run(browser.TEXTS)))
        self.assertEqual(len(self.keys), self.chromium.run(
            'return document.querySelectorAll("section .missing").length;'))
        self.assertIn('Not good', self.chromium.run(
            'return document.querySelector(".verdict").textContent;'))

    def test_other_formats(self):
        for extension, check in (
                ('json', json.loads), ('md', self._has_verdict),
                ('txt', self._has_verdict)):
            path = self.directory / f'report.{extension}'
            self.assertEqual(0, run_report(
                self.results, '-o', path).returncode)
            check(path.read_text('utf-8'))

    def _has_verdict(self, text):
        self.assertIn('429 of 432 migrations as expected', text)
        self.assertIn('lm.medium', text)

    def test_an_altered_file(self):
        lines = self.results.read_bytes().splitlines(keepends=True)
        altered = self.directory / 'altered.jsonl'
        altered.write_bytes(b''.join(lines[:5] + lines[6:]))
        before = self.page.read_bytes()
        done = run_report(altered, '-o', self.page)
        self.assertEqual(2, done.returncode)
        self.assertIn('altered.jsonl was altered', done.stderr)
        self.assertEqual(1, done.stderr.count('\n'))
        self.assertEqual(before, self.page.read_bytes())
