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

"""What to run, as files: options of tempest.conf, and a group of our own.

Group [profile] is for us alone; Tempest does not see it.
"""

import dataclasses
import pathlib
import re

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import flavors
from lm_tempest_plugin.operator import options

DIRECTORY = pathlib.Path(__file__).parent / 'profiles'
SUFFIX = '.conf'
GROUP = 'profile'
REGEX = 'live_migration_ha'
NAMES = ('about', 'regex', 'flavors')


@dataclasses.dataclass(frozen=True)
class Profile:
    """What to run.

    :ivar name: of the profile
    :ivar path: of its file
    :ivar about: what it does and how long it takes, in words
    :ivar regex: the tests
    :ivar sizes: small, medium and large, as they are made if missing
    :ivar options: of tempest.conf
    """

    name: str
    path: pathlib.Path
    about: str
    regex: str
    sizes: tuple[flavors.Size, ...]
    options: options.Options


def shipped() -> list[str]:
    """Return the names of the profiles that come with the plugin."""
    return sorted(path.stem for path in DIRECTORY.glob('*' + SUFFIX))


def load(wanted: str) -> Profile:
    """Return a profile.

    :param wanted: its name, or the path of a file
    :raises OperatorError: there is none, or it is none
    """
    path = pathlib.Path(wanted)
    if wanted in shipped():
        path = DIRECTORY / (wanted + SUFFIX)
    elif not path.is_file():
        raise errors.OperatorError(
            'there is no profile %s: it is the path of a file, or one of %s' %
            (wanted, ', '.join(shipped())))
    found = options.load(path)
    own = {name: values[-1]
           for name, values in found.pop(GROUP, {}).items()}
    unknown = sorted(set(own) - set(NAMES))
    if unknown:
        raise errors.OperatorError(
            'unknown option %s in group [%s] of %s; the options of this '
            'group are: %s' % (unknown[0], GROUP, path, ', '.join(NAMES)))
    return Profile(
        path.stem, path, ' '.join(own.get('about', '').split()),
        _regex(own.get('regex', REGEX), path), _sizes(own, path), found)


def _regex(text: str, path: pathlib.Path) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise errors.OperatorError(
            'bad value of option regex in group [%s] of %s: %s: %s' % (
                GROUP, path, text, exc)) from exc
    if REGEX not in text:
        raise errors.OperatorError(
            'option regex in group [%s] of %s is %s, which is not about the '
            'tests of %s alone' % (GROUP, path, text, REGEX))
    return text


def _sizes(own: dict[str, str],
           path: pathlib.Path) -> tuple[flavors.Size, ...]:
    if 'flavors' not in own:
        return flavors.SIZES
    try:
        sizes = tuple(map(flavors.parse, own['flavors'].split(',')))
    except ValueError as exc:
        raise errors.OperatorError(
            'bad value of option flavors in group [%s] of %s: %s' % (
                GROUP, path, exc)) from exc
    if len(sizes) != len(flavors.WORDS):
        raise errors.OperatorError(
            'option flavors in group [%s] of %s has %d flavors, not %s' % (
                GROUP, path, len(sizes), ', '.join(flavors.WORDS)))
    return sizes
