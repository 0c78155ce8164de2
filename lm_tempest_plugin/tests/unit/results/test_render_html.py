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

import dataclasses
from html import parser
import json
import re

import markupsafe

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import renderers
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials

SCRIPT = '<script>alert(1)</script>'


class Parsed(parser.HTMLParser):
    """What a browser makes of a page, as far as it matters here."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.text = []
        self.scripts = {}
        self._in = ''
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._in = tag
        if tag == 'script':
            self._id = dict(attributes).get('id', len(self.scripts))
            self.scripts[self._id] = ''

    def handle_endtag(self, tag):
        self._in = ''

    def handle_data(self, data):
        if self._in == 'script':
            self.scripts[self._id] += data
        elif self._in != 'style':
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements
                if name == tag]


def render(lines, title='', **changes):
    return renderers.html(dataclasses.replace(
        report.build(builders.read(lines), title), **changes))


class EmbeddedTest(base.TestCase):

    def test_nothing_ends_the_element(self):
        text = '</script><!-- & \u2028'
        made = document.Figure({'title': text})
        made.add('bar', x=[1])
        found = renderers.embedded([('', made)])
        self.assertIsInstance(found, markupsafe.Markup)
        self.assertEqual(
            [], re.findall('[<>&\u2028]', str(found)))
        self.assertEqual([made.as_dict()], json.loads(found))


class PageTest(base.TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        names = {'server_name': SCRIPT, 'source': SCRIPT,
                 'strategy': SCRIPT, 'flavor': schema.Flavor(
                     name=SCRIPT, vcpus=1, ram_gib=1, disk_gib=1)}
        lines = [
            *materials.migrations(3, **names),
            builders.failed(3, **names, problems=(
                builders.problem(SCRIPT, SCRIPT),)),
            builders.drain(
                source=SCRIPT, strategy=SCRIPT,
                problems=(builders.problem(SCRIPT),),
                sockets=schema.Sockets(
                    transport=SCRIPT, samples=1, qemu_ports=(),
                    qemu_connections=0, libvirt_ports=()),
                hosts=(builders.samples(SCRIPT),))]
        cls.document = report.build(builders.read(lines), SCRIPT)
        cls.text = renderers.html(cls.document)
        cls.page = Parsed(cls.text)

    def test_names_are_text(self):
        # Figures, plotly.js and the script that uses it.
        drawn = [
            f'{plot.key}-figures' for section in self.document.sections
            for plot in materials.plots_of(section) if plot.figures]
        self.assertIn('timeline-figures', drawn)
        self.assertEqual(
            sorted(drawn), sorted(key for key in self.page.scripts
                                  if isinstance(key, str)))
        self.assertEqual(2, len([key for key in self.page.scripts
                                 if isinstance(key, int)]))
        self.assertNotIn(SCRIPT, self.text)
        self.assertIn(SCRIPT, ''.join(self.page.text))
        for key, text in self.page.scripts.items():
            if isinstance(key, str):
                self.assertNotIn('<script', str(json.loads(text)))

    def test_nothing_is_fetched(self):
        for _tag, attributes in self.page.elements:
            for name in ('src', 'href', 'data', 'srcset', 'action'):
                value = attributes.get(name)
                self.assertTrue(
                    not value or value.startswith(('#', 'data:')), value)
        policy = [each['content'] for each in self.page.all('meta')
                  if 'http-equiv' in each]
        self.assertEqual(1, len(policy))
        self.assertIn("default-src 'none'", policy[0])

    def test_who_cannot_see_it(self):
        self.assertEqual([{'lang': 'en'}], self.page.all('html'))
        for heading in self.page.all('th'):
            self.assertIn(heading['scope'], ('row', 'col'))
        ids = {attributes['id'] for _tag, attributes in self.page.elements
               if 'id' in attributes}
        for plot in self.page.all('figure'):
            self.assertIn(plot['aria-labelledby'], ids)
        for label in self.page.all('label'):
            self.assertIn(label['for'], ids)
        self.assertEqual(1, len(self.page.all('h1')))

    def test_links_lead_somewhere(self):
        ids = {attributes['id'] for _tag, attributes in self.page.elements
               if 'id' in attributes}
        self.assertLessEqual(
            {each['href'][1:] for each in self.page.all('a')}, ids)

    def test_the_verdict_comes_first(self):
        text = ' '.join(''.join(self.page.text).split())
        self.assertLess(text.index('✗ Not good: 3 of 4 migrations'),
                        text.index('Live migrations'))
        self.assertIn('Problems', text)

    def test_good(self):
        text = render(materials.migrations(2))
        found = ''.join(Parsed(text).text)
        self.assertIn('✓ Good: 2 of 2 migrations', found)
        self.assertNotIn('id="problems"', text)

    def test_nothing_at_all(self):
        text = render([])
        self.assertIn('Not good', text)
        self.assertIn('No live migration was judged.', text)
        # Nothing to draw, nothing to draw with.
        self.assertLess(len(text), 100_000)

    def test_a_great_many_problems(self):
        text = ''.join(Parsed(render(
            materials.migrations(1), sections=[document.Section(
                'problems', 'Problems', [document.Bullets(
                    ['bad'] * 1500)])])).text)
        self.assertEqual(renderers.MOST_LINES_HTML, text.count('bad'))
        self.assertIn('and 500 more; the report as JSON has all', text)

    def test_a_long_table(self):
        def page(rows):
            return Parsed(render(migrations, sections=[document.Section(
                'hosts', 'Hosts', [document.Table(
                    'Caption', ('Name', 'Seconds'),
                    [document.TableRow(('a', '1'))] * rows, brief=True)])]))

        migrations = materials.migrations(1)
        short = page(renderers.LONG_TABLE)
        self.assertEqual([], short.all('input'))
        self.assertEqual({}, short.scripts)
        long = page(renderers.LONG_TABLE + 1)
        self.assertEqual(['hosts-1-search'],
                         [each['id'] for each in long.all('input')])
        self.assertEqual(['hosts-1-search'],
                         [each['for'] for each in long.all('label')])
        self.assertEqual(1, len(long.scripts))
        self.assertEqual(renderers.LONG_TABLE + 2, len(long.all('tr')))

    def test_remarks(self):
        self.assertIn('a crash &lt;b&gt;', render(
            materials.migrations(1), remarks=('a crash <b>',)))
