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

"""Options of a tempest.conf as values: sections, names, texts."""

from collections.abc import Mapping
import pathlib

from oslo_config import cfg
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin import config
from lm_tempest_plugin.operator import errors

# Values by section and name. More than one value is for options that take
# several lines (MultiOpt); others have the last.
Options = dict[str, dict[str, list[str]]]


def load(path: pathlib.Path) -> Options:
    """Return what stands in a file, read as Tempest reads it.

    :param path: the file
    :raises OperatorError: it cannot be read
    """
    sections: Options = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except (OSError, UnicodeDecodeError, cfg.ParseError) as exc:
        raise errors.OperatorError('%s cannot be read: %s' % (
            path, getattr(exc, 'strerror', None) or exc)) from exc
    return sections


def merge(*parts: Mapping[str, Mapping[str, list[str]]]) -> Options:
    """Return all options; where one is given twice, the later one counts.

    :param parts: the later, the stronger
    """
    merged: Options = {}
    for part in parts:
        for section, values in part.items():
            merged.setdefault(section, {}).update(values)
    return merged


def of(**sections: Mapping[str, object]) -> Options:
    """Return options from Python's values; those that are None are left out.

    :param sections: hyphens in their names are written as underscores
    """
    return {name.replace('_feature_', '-feature-'): {
        option: [str(value)] for option, value in values.items()
        if value is not None} for name, values in sections.items()}


def render(options: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return the text of a file.

    :param options: what is to stand in it
    """
    lines: list[str] = []
    for section, values in options.items():
        lines += ['', '[%s]' % section]
        for name, texts in values.items():
            # A line that goes on is indented.
            lines += ['%s = %s' % (name, text.replace('\n', '\n    '))
                      for text in texts]
    return '\n'.join(lines) + '\n'


def registered(*paths: pathlib.Path) -> cfg.ConfigOpts:
    """Return the plugin's own options as files have them, checked.

    :param paths: the files; the later, the stronger
    :raises OperatorError: an option does not exist, or is out of bounds
    """
    conf = cfg.ConfigOpts()
    config.register_opts(conf)
    try:
        conf([], project='tempest', default_config_files=list(map(
            str, paths)), default_config_dirs=[])
        config.check(conf)
    except (lib_exc.InvalidConfiguration, cfg.Error) as exc:
        raise errors.OperatorError(' '.join(str(exc).partition(
            'Details: ')[2].split() or str(exc).split())) from exc
    return conf
