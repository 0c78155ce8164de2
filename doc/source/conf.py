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

import ast
import importlib
import inspect
import json
import os
import pathlib
import pkgutil
import re
import sys
import typing

from sphinx.util import docutils

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, TOP)

# -- General configuration --------------------------------------------------

extensions = [
    'sphinx.ext.autodoc',
    'sphinxcontrib.apidoc',
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'reno.sphinxext',
]

project = 'lm-tempest-plugin'
copyright = 'the contributors of lm-tempest-plugin'
master_doc = 'index'
source_suffix = {'.rst': 'restructuredtext'}
exclude_patterns = []
pygments_style = 'native'
add_module_names = False
modindex_common_prefix = ['lm_tempest_plugin.']

# -- The module reference, and the Tempest tests ----------------------------

# Unit tests are documented by their code. The Tempest tests and the format of
# results have pages of their own (tests/index.rst, results.rst).
apidoc_module_dir = os.path.join(TOP, 'lm_tempest_plugin')
apidoc_output_dir = os.path.join('reference', 'api')
apidoc_excluded_paths = ['tests', os.path.join('results', 'schema.py')]
apidoc_separate_modules = True
apidoc_toc_file = False

autodoc_member_order = 'bysource'
# Docstrings of Tempest's base classes would hide those of the tests.
autodoc_inherit_docstrings = False

# -- HTML -------------------------------------------------------------------

html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_pdf_link = False
openstackdocs_repo_name = ''

# -- Pages from code --------------------------------------------------------

SCHEMA = 'lm_tempest_plugin.results.schema'
TESTS = 'lm_tempest_plugin.tests.live_migration_ha'


def _table(*rows):
    """Return a table; the first row has the headings."""
    lines = ['.. list-table::', '   :header-rows: 1', '']
    for row in rows:
        lines += [f'   {"-" if number else "* -"} {cell}'.replace(
            '   - ', '     - ') for number, cell in enumerate(row)]
    return lines


def _checks():
    importlib.import_module('lm_tempest_plugin.migration.checks')
    registry = importlib.import_module(
        'lm_tempest_plugin.migration.checks.registry')
    rows = []
    for slug, function in registry.CHECKS.items():
        first = ' '.join(function.__doc__.split('\n\n')[0].split())
        text = first.removeprefix('Expect ')
        rows.append((f'``{slug}``', text[0].upper() + text[1:]))
    return _table(('Check', 'Expected'), *sorted(rows))


def _signatures():
    found = importlib.import_module(
        'lm_tempest_plugin.migration.signatures').SIGNATURES
    return _table(('Signature', 'Cause'), *(
        (f'``{each.slug}``', each.cause) for each in found))


def _settings():
    heading, *rows = importlib.import_module(
        'lm_tempest_plugin.config').settings_table()
    return _table(heading, *(
        (f'``{name}``', f'``{option}``', values,
         check if check.startswith('(') else f'``{check}``')
        for name, option, values, check in rows))


def _workloads():
    heading, *rows = importlib.import_module(
        'lm_tempest_plugin.config').workloads_table()
    return _table(heading, *(
        (f'``{name}``', about[0].upper() + about[1:], rate or '(none)')
        for name, about, rate in rows))


def _faults():
    """Return the table of faults; the lab is read, and never imported."""
    rows = []
    for path in pathlib.Path(TOP, 'lab', 'faults').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, ast.Call) and getattr(
                    node.func, 'id', '') == 'Fault':
                name, action = map(ast.literal_eval, node.args[:2])
                rows.append((name, action))
    return _table(('Fault', 'Injection'), *(
        (f'``{name}``', action) for name, action in sorted(rows)))


def _stored(name):
    """Return the results of a benchmark's last full run; None without one."""
    path = pathlib.Path(TOP, 'doc', 'source', name)
    return json.loads(path.read_text('utf-8')) if path.exists() else None


def _detection():
    stored = _stored('detection.json')
    if stored is None:
        return ['There is no full run yet.']
    not_run = {'result': '-', 'by': [], 'fired': '-', 'seconds': 0}
    rows = []
    for row in stored['rows']:
        parts = [row.get(part, not_run)
                 for part in ('ours', 'comparison', 'stock')]
        rows.append((
            f'``{row["bug"]}``', row['number'], row['commit'],
            ', '.join(row['services']), row['effect'] or row['kind'],
            ' / '.join(str(each['fired']) for each in parts),
            *(', '.join([each['result'],
                         *(f'``{check}``' for check in each['by'])])
              for each in parts),
            f'{sum(each["seconds"] for each in parts) / 60:.0f}'))
    return [*_table(
        ('Bug', 'Number', 'Commit', 'Service', 'Effect', 'Fired', 'Ours',
         'Comparison', 'Stock', 'Minutes'), *rows),
        '', *(f'* {line}' for line in stored['totals'])]


def _mutants():
    stored = _stored('mutants.json')
    if stored is None:
        return ['There is no full run yet.']
    silent = [row for row in stored['rows'] if row['outcome'] == 'silent']
    return [*_table(
        [heading.capitalize() for heading in stored['summary'][0]],
        *(list(map(str, line.values())) for line in stored['summary'])),
        '', *(f'* silent: ``{row["mutant"]}``' for row in silent)]


def _bugs():
    """Return the table of bugs; the lab is read, and never imported."""
    rows = []
    for path in sorted(pathlib.Path(TOP, 'lab', 'bugs').glob('*.py')):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, ast.Assign) and (
                    getattr(node.targets[0], 'id', '') == 'BUG'
                    and isinstance(node.value, ast.Call)):
                values = {each.arg: ast.literal_eval(each.value)
                          for each in node.value.keywords
                          if isinstance(each.value, (
                              ast.Constant, ast.Tuple))}
                numbers = re.sub(
                    r'\d{6,}', r'`\g<0> <https://bugs.launchpad.net/bugs/'
                    r'\g<0>>`__', values['number'])
                rows.append((
                    f'``{path.stem}``', numbers, values['commit'],
                    ', '.join(values['services']),
                    values['effect'] or '(none: a control or a correction)',
                    f'``{values["test"]}``' if values['test'] else
                    '(a fault shows it)', f'``{values["check"]}``'
                    if values['check'] else '(none)'))
    return _table(('Bug', 'Number', 'Commit', 'Service', 'Effect', 'Test',
                   'Check'), *rows)


def _schema_classes(lines):
    """Return the classes of the schema: lines of a file, or their parts."""
    schema = importlib.import_module(SCHEMA)
    classes = {name: each for name, each in vars(schema).items()
               if isinstance(each, type) and each.__module__ == SCHEMA and
               each is not schema._Part}
    found = [name for name, each in classes.items()
             if issubclass(each, schema.Line)]
    if not lines:
        # Without structures that no line contains, such as GuestInspection.
        of_lines, parts = found, set()
        while of_lines:
            of_lines = {part for name in of_lines
                        for hint in typing.get_type_hints(
                            classes[name]).values()
                        for part in re.findall(rf'{SCHEMA}\.(\w+)', str(hint))
                        } - parts
            parts |= of_lines
        found = [name for name in classes if name in parts]
    inheritance = '   :show-inheritance:' if lines else ''
    return [text for name in found
            for text in (f'.. autoclass:: {SCHEMA}.{name}', '   :members:',
                         inheritance, '')]


def _tests():
    package = pathlib.Path(TOP, *TESTS.split('.'))
    return [text for each in pkgutil.iter_modules([str(package)])
            if each.name.startswith('test_')
            for text in (f'.. automodule:: {TESTS}.{each.name}',
                         '   :members:', '   :exclude-members: Intervention, '
                         'rows, skip_checks, choose_owner', '')]


FROM_CODE = {
    'checks': _checks,
    'signatures': _signatures,
    'settings': _settings,
    'workloads': _workloads,
    'faults': _faults,
    'bugs': _bugs,
    'detection': _detection,
    'mutants': _mutants,
    'schema-lines': lambda: _schema_classes(lines=True),
    'schema-parts': lambda: _schema_classes(lines=False),
    'tests': _tests,
}


class FromCode(docutils.SphinxDirective):
    """Inserts a part of a page that is made from the code."""

    required_arguments = 1

    def run(self):
        """Return the nodes of the part."""
        return self.parse_text_to_nodes(
            '\n'.join(FROM_CODE[self.arguments[0]]()))


def _edit_docstring(app, what, name, each, options, lines):
    if name.startswith(TESTS) and lines[0].startswith('Test idempotent id'):
        # Tempest puts the id before the docstring, which stays indented.
        lines[:] = [*lines[:1], *inspect.cleandoc(
            '\n'.join(['', *lines[1:]])).split('\n'), '']
    if what == 'class' and name.startswith(SCHEMA + '.'):
        _add_types(each, lines)


def _add_types(each, lines):
    """Add the kind of a line, and the type of each field."""
    types = {field: hint for base in reversed(each.__mro__)
             for field, hint in vars(base).get('__annotations__', {}).items()}
    for number, line in enumerate(lines):
        found = re.match(r':ivar (\w+): ', line)
        if found:
            hint = types[found[1]]
            # A plain class prints itself as <class ...>.
            text = hint.__name__ if isinstance(hint, type) else str(hint)
            text = text.replace(SCHEMA + '.', '').replace('datetime.', '')
            lines[number] = line.replace(found[1], f'{text} {found[1]}', 1)
    tag = each.__struct_config__.tag
    # Base classes have their own name as tag.
    if tag and tag != each.__name__:
        lines[1:1] = ['', f'``kind``: ``{tag}``', '']


def _hide_signature(app, what, name, each, options, signature, returns):
    # It would repeat the fields; that of tests is testtools'.
    return ('', '') if what == 'class' and name.startswith(
        (SCHEMA + '.', TESTS)) else None


def setup(app):
    """Register everything that makes pages from code."""
    app.add_directive('from-code', FromCode)
    app.connect('autodoc-process-docstring', _edit_docstring)
    app.connect('autodoc-process-signature', _hide_signature)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
