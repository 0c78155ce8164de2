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

"""Files with options of tempest.conf, and profiles.

A profile is such a file with a group [profile], which Tempest does not see.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
import re

from oslo_config import cfg
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin import config

# Values by section and name. An option that was given several times has
# several values; all but MultiOpt use the last one.
Options = dict[str, dict[str, list[str]]]

PROFILES = pathlib.Path(__file__).parent / 'profiles'
SUFFIX = '.conf'
GROUP = 'profile'
PROFILE_OPTIONS = ('about', 'regex', 'flavors')
REGEX = 'live_migration_ha'


def load(path: pathlib.Path) -> Options:
    """Return the options in a file, read as Tempest reads it.

    :param path: the file
    :raises SetupError: it cannot be read
    """
    sections: Options = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except (OSError, UnicodeDecodeError, cfg.ParseError) as exc:
        reason = getattr(exc, 'strerror', None) or exc
        raise setup.SetupError(f'{path} cannot be read: {reason}') from exc
    return sections


def merge(*parts: Mapping[str, Mapping[str, list[str]]]) -> Options:
    """Return the options of all parts; a later part overrides.

    :param parts: options, weakest first
    """
    merged: Options = {}
    for part in parts:
        for section, values in part.items():
            merged.setdefault(section, {}).update(values)
    return merged


def convert(**sections: Mapping[str, object]) -> Options:
    """Return options from Python values; leave out those that are None.

    :param sections: ``_feature_`` in a name stands for ``-feature-``
    """
    return {name.replace('_feature_', '-feature-'): {
        option: [str(value)] for option, value in values.items()
        if value is not None} for name, values in sections.items()}


def render(options: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return the text of a file with options.

    :param options: the options
    """
    lines: list[str] = []
    for section, values in options.items():
        lines += ['', f'[{section}]']
        for name, texts in values.items():
            for text in texts:
                # Continuation lines are indented.
                indented = text.replace('\n', '\n    ')
                lines.append(f'{name} = {indented}')
    return '\n'.join(lines) + '\n'


def read_checked(*paths: pathlib.Path) -> cfg.ConfigOpts:
    """Return the plugin's own options in files.

    :param paths: the files; a later one overrides
    :raises SetupError: an option does not exist, or is out of bounds
    """
    conf = cfg.ConfigOpts()
    config.register_opts(conf)
    try:
        conf([], project='tempest', default_config_files=list(map(
            str, paths)), default_config_dirs=[])
        config.check(conf)
    except (exceptions.InvalidConfiguration, cfg.Error) as exc:
        # Tempest puts a sentence of its own before ours.
        text = str(exc).partition('Details: ')[2] or str(exc)
        raise setup.SetupError(' '.join(text.split())) from exc
    return conf


@dataclasses.dataclass(frozen=True)
class Profile:
    """The tests of a run, and their options.

    :ivar name: its name
    :ivar path: its file
    :ivar about: description, with the time that it takes
    :ivar regex: regular expression of the tests
    :ivar sizes: the flavors small, medium and large
    :ivar options: options of tempest.conf
    """

    name: str
    path: pathlib.Path
    about: str
    regex: str
    sizes: tuple[resources.FlavorSize, ...]
    options: Options


def profiles() -> list[str]:
    """Return the names of the profiles that come with the plugin."""
    return sorted(path.stem for path in PROFILES.glob('*' + SUFFIX))


def load_profile(wanted: str) -> Profile:
    """Return a profile.

    :param wanted: its name, or the path of a file
    :raises SetupError: there is none, or the file is no profile
    """
    path = pathlib.Path(wanted)
    if wanted in profiles():
        path = PROFILES / (wanted + SUFFIX)
    elif not path.is_file():
        raise setup.SetupError(
            f'there is no profile {wanted}: give the path of a '
            f'file, or one of {", ".join(profiles())}')
    options = load(path)
    own = {name: values[-1]
           for name, values in options.pop(GROUP, {}).items()}
    unknown = sorted(set(own) - set(PROFILE_OPTIONS))
    if unknown:
        raise setup.SetupError(
            f'unknown option {unknown[0]} in group [{GROUP}] of {path}; the '
            f'options of this group are: {", ".join(PROFILE_OPTIONS)}')
    regex = own.get('regex', REGEX)
    try:
        re.compile(regex)
    except re.error as exc:
        raise setup.SetupError(
            f'bad value of option regex in group [{GROUP}] of '
            f'{path}: {regex}: {exc}') from exc
    if REGEX not in regex:
        raise setup.SetupError(
            f'option regex in group [{GROUP}] of {path} is {regex}, and may '
            f'match tests of other plugins: put {REGEX} into it')
    return Profile(path.stem, path, ' '.join(own.get('about', '').split()),
                   regex, _sizes(own, path), options)


def _sizes(own: Mapping[str, str],
           path: pathlib.Path) -> tuple[resources.FlavorSize, ...]:
    if 'flavors' not in own:
        return resources.SIZES
    try:
        sizes = tuple(map(resources.parse_size, own['flavors'].split(',')))
    except ValueError as exc:
        raise setup.SetupError(
            f'bad value of option flavors in group [{GROUP}] of '
            f'{path}: {exc}') from exc
    if len(sizes) != len(resources.SIZE_NAMES):
        raise setup.SetupError(
            f'number of flavors in group [{GROUP}] of {path}: {len(sizes)}; '
            f'needed are {", ".join(resources.SIZE_NAMES)}')
    return sizes
