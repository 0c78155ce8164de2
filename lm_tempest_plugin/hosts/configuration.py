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

"""Options within the text of a nova.conf.

ConfigUpdater leaves comments, order and all lines that are not changed as
they are. What it wrote is read again with oslo.config's own parser: that is
how nova will read it.
"""

from collections.abc import Mapping
import dataclasses

import configupdater
from oslo_config import iniparser

DEFAULT = 'DEFAULT'


@dataclasses.dataclass(frozen=True)
class Option:
    """Name of an option.

    :ivar section: such as libvirt
    :ivar name: such as live_migration_tunnelled
    """

    section: str
    name: str

    def __str__(self) -> str:
        return '[%s]%s' % (self.section, self.name)


class _Reader(iniparser.BaseParser):
    """Collects the values of options as oslo.config reads them."""

    def __init__(self, text: str) -> None:
        self.values: dict[Option, str] = {}
        self._section = DEFAULT
        self.parse(text.splitlines(keepends=True))

    def new_section(self, section: str) -> None:
        """Take the beginning of a section."""
        self._section = section

    def assignment(self, key: str, value: list[str]) -> None:
        """Take an option; of several with one name the last counts."""
        self.values[Option(self._section, key)] = '\n'.join(value)

    def comment(self, comment: str) -> None:
        """Take a comment."""


def _read(text: str) -> dict[Option, str]:
    """Return all options.

    :raises ValueError: oslo.config could not read the text
    """
    try:
        return _Reader(text).values
    except iniparser.ParseError as exc:
        # Without the line: it may have a password.
        raise ValueError('line %d: %s' % (exc.lineno, exc.msg)) from None


def change(text: str, values: Mapping[Option, str]) -> str:
    """Return the text with other values for some options.

    :param text: of nova.conf
    :param values: of the options that change
    :raises ValueError: the text is no configuration, or cannot be changed
        so that oslo.config reads these values
    """
    _read(text)
    updater = configupdater.ConfigUpdater(strict=False)
    try:
        updater.read_string(text)
    except configupdater.ParsingError:
        raise ValueError('oslo.config can read it, but ConfigUpdater, which '
                         'changes it, cannot') from None
    for option, value in values.items():
        if not updater.has_section(option.section):
            updater.add_section(option.section)
        updater[option.section][option.name] = value
    changed = str(updater)
    found = _read(changed)
    for option, value in values.items():
        if found.get(option) != value:
            raise ValueError('%s is %r after it was set to %r; is it in the '
                             'file twice?' % (
                                 option, found.get(option), value))
    return changed
