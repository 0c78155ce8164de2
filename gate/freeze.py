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

"""Compare the jobs of zuul.d, with their real parents, with the documentation.

A second tenant of a Zuul that is up loads the definitions of devstack, Tempest
and others. Zuul then says which variables each node of a job gets.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import time
import typing

import yaml

from gate import follow
from gate import machine
from gate import nodes
from gate.patches import PLUGIN
from gate import projects
from gate import rest
from gate import services
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import sources
from lm_tempest_plugin import utils

TENANT = 'openstack'
CONFIG = 'freeze-config'
PIPELINE = 'freeze'
#: Zuul asks for the definitions of about 60 projects; that took six minutes
#: on a busy machine.
LOAD_SECONDS = 900
POLL_SECONDS = 2.0
#: Where Zuul looks for definitions in a repository.
PLACES = ('zuul.yaml', '.zuul.yaml', 'zuul.d', '.zuul.d')


class _Loader(yaml.CSafeLoader):
    """Reads definitions; encrypted values count as nothing."""


_Loader.add_multi_constructor('!', lambda *_: None)


def run(options: argparse.Namespace, paths: machine.Layout) -> int:
    """Print the variables of each node of each job, and compare them.

    :param options: of the command line
    :param paths: paths of a Zuul that is up
    :returns: exit code: 0 if Zuul and the documentation agree
    :raises errors.LabError: if Zuul cannot load or freeze a job
    """
    process = machine.find(paths)
    given = dict(_definitions(text) for text in options.checkouts)
    documented = nodes.documented()
    _create_repositories(paths, given, list(dict.fromkeys(
        row['Job'] for row in documented)))
    machine.enter_network(process)
    _reconfigure(paths, process)
    rest.refuse_errors('zuul.d', rest.configuration_errors(TENANT, PLUGIN),
                       paths.log)
    frozen = [row for job in dict.fromkeys(row['Job'] for row in documented)
              for row in _rows(job)]
    follow.print_table(nodes.COLUMNS, [
        tuple(row.values()) for row in frozen])
    different = differences(documented, frozen)
    for each in different:
        print(each)
    print(f'{len(frozen)} nodes of {len({row["Job"] for row in frozen})} '
          f'jobs: {len(different)} differences from {nodes.TABLE.name}.')
    return 1 if different else 0


def differences(documented: list[nodes.Row],
                frozen: list[nodes.Row]) -> list[str]:
    """Return one sentence for each value that is not as documented.

    :param documented: rows of the documentation
    :param frozen: rows of Zuul
    """
    found = {(row['Job'], row['Node']): row for row in frozen}
    said = []
    for row in documented:
        where = row['Job'], row['Node']
        if where not in found:
            said.append(f'{" on ".join(where)}: Zuul has no such node.')
            continue
        said.extend(
            f'{" on ".join(where)}: {column} is {found[where][column]!r}, '
            f'and {value!r} in the documentation.'
            for column, value in row.items()
            if found[where][column] != value)
    known = {(row['Job'], row['Node']) for row in documented}
    said.extend(f'{" on ".join(where)}: not in the documentation.'
                for where in found if where not in known)
    return said


def wanted(definitions: typing.Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the projects and the pipelines that definitions refer to.

    :param definitions: YAML
    """
    projects: set[str] = set()
    pipelines: set[str] = set()
    for text in definitions:
        for stanza in yaml.load(text, _Loader) or ():  # noqa: S506
            job = stanza.get('job') or {}
            listed = job.get('required-projects') or ()
            for each in [listed] if isinstance(listed, str) else listed:
                projects.add(each if isinstance(each, str) else each['name'])
            projects.update(each['zuul'] for each in job.get('roles') or ()
                            if 'zuul' in each)
            for kind in 'project', 'project-template':
                pipelines.update(
                    name for name, value in (stanza.get(kind) or {}).items()
                    if isinstance(value, dict) and 'jobs' in value)
    names = {name.removeprefix('opendev.org/') for name in projects}
    # Those of other hosts do not matter: none of our jobs needs them.
    return {name for name in names if '.' not in name.partition('/')[0]
            }, pipelines


def _definitions(text: str) -> tuple[str, dict[str, str]]:
    """Return the name of a checkout's project, and its definitions by path."""
    project, _, path = text.rpartition('=')
    folder = pathlib.Path(path).resolve()
    try:
        listed = sources.git('-C', folder, 'ls-tree', '-r', '--name-only',
                             'HEAD', *PLACES).splitlines()
        if not project:
            review = sources.git('-C', folder, 'show', 'HEAD:.gitreview')
            project = next(
                line.partition('=')[2].strip().removesuffix('.git')
                for line in review.splitlines()
                if line.startswith('project'))
    except (errors.LabError, StopIteration, OSError) as error:
        raise errors.LabError(
            f'{path} is no Git checkout with a .gitreview: give '
            f'PROJECT=PATH, such as zuul/zuul-jobs=PATH ({error}).') from error
    return project, {name: sources.git('-C', folder, 'show', f'HEAD:{name}')
                     for name in listed if name.endswith('.yaml')}


def _create_repositories(paths: machine.Layout,
                         given: dict[str, dict[str, str]],
                         jobs: list[str]) -> None:
    """Make the repositories of the tenant, and name them to Zuul.

    :param paths: paths of the Zuul
    :param given: definitions by project
    :param jobs: jobs to freeze
    """
    ours = {str(path.relative_to(layout.REPOSITORY)): path.read_text()
            for path in (layout.REPOSITORY / 'zuul.d').glob('*.yaml')}
    names, pipelines = wanted(
        text for files in (*given.values(), ours) for text in files.values())
    files = services.Services(paths)
    config = files.render('config/freeze.yaml', names=jobs, plugin=PLUGIN,
                          pipelines=sorted({*pipelines, PIPELINE}),
                          pipeline=PIPELINE)
    empty = sorted(names - set(given) - {PLUGIN})
    made = projects.Projects(paths)
    for name in empty:
        # nova and others are there, with the content that jobs here need.
        if not (paths.repositories / name).exists():
            made.create(name, {})
    for name, content in (*given.items(),
                          (CONFIG, {'zuul.d/freeze.yaml': config})):
        made.create(name, content)
    # A tenant of its own: the jobs of OpenDev never run here.
    main = files.etc / 'main.yaml'
    tenants = [each for each in yaml.safe_load(main.read_text())
               if each['tenant']['name'] != TENANT]
    layout.write(main, yaml.safe_dump([*tenants, {'tenant': {
        'name': TENANT, 'source': {'gerrit': {
            'config-projects': [CONFIG],
            'untrusted-projects': [
                PLUGIN, *given, *({name: {'include': []}}
                                  for name in empty)]}}}}]))


def _reconfigure(paths: machine.Layout, process: sandbox.Process) -> None:
    """Let Zuul read all definitions again, and wait for that.

    :param paths: paths of the Zuul
    :param process: its first process
    """
    print('Zuul reads the definitions ...', flush=True)
    began_ms = time.time() * 1000
    files = services.Services(paths)
    result = subprocess.run(
        [*sandbox.enter(process, machine.HOST, paths.services),
         paths.venv_bin('machine', 'zuul-scheduler'), '-c',
         str(files.etc / 'zuul.conf'), 'full-reconfigure'],
        capture_output=True, text=True, env=sandbox.environment())
    if result.returncode:
        raise errors.LabError(f'Zuul was not told to read its configuration: '
                              f'{result.stderr.strip()[-300:]}')

    def last_read_ms() -> float:
        try:
            return float(rest.get('status', TENANT)['last_reconfigured'])
        except errors.LabError:
            # Zuul does not know the tenant yet.
            return 0

    utils.wait_until(
        lambda read_ms: read_ms >= began_ms, last_read_ms,
        f'Zuul reads all definitions (see {paths.log}/scheduler-debug.log)',
        LOAD_SECONDS, POLL_SECONDS, error=errors.LabError)


def _rows(job: str) -> list[nodes.Row]:
    """Return the rows of a job, as Zuul freezes it."""
    frozen = rest.get(f'pipeline/{PIPELINE}/project/{PLUGIN}/branch/master/'
                      f'freeze-job/{job}', TENANT)
    groups = {group['name']: group['nodes']
              for group in frozen['nodeset']['groups']}
    return [nodes.row(job, node['name'], str(node['label']), nodes.resolve(
        frozen['vars'], frozen['group_vars'],
        [name for name, members in groups.items() if node['name'] in members]))
        for node in frozen['nodeset']['nodes']]
