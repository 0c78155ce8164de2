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

"""Figures as words."""

import datetime

from lm_tempest_plugin.results.statistics import intervals

NOTHING = '–'


def number(value: float) -> str:
    """Return a number with as many digits as one can use.

    :param value: such as seconds
    """
    size = abs(value)
    if size >= 100:
        return '%.0f' % value
    if size >= 10:
        return '%.1f' % value
    if size >= 1 or not size:
        return '%.2f' % value
    return '%.3f' % value


def signed(value: float) -> str:
    """Return a number with its sign."""
    return number(value) if value < 0 else '+' + number(value)


def estimate(found: intervals.Estimate) -> str:
    """Return a value with its interval, if it has one."""
    return number(found.value) + interval(found)


def interval(found: intervals.Estimate, sign: bool = False) -> str:
    """Return an interval in brackets, with a space before; '' for none.

    :param found: what has it
    :param sign: whether its ends have signs
    """
    shown = signed if sign else number
    if found.low is not None and found.high is not None:
        return ' (%s to %s)' % (shown(found.low), shown(found.high))
    if found.low is not None:
        return ' (%s or more)' % shown(found.low)
    if found.high is not None:
        return ' (%s or less)' % shown(found.high)
    return ''


def count(value: int, one: str, many: str = '') -> str:
    """Return a number of things.

    :param value: how many
    :param one: what one is called
    :param many: what several are called; with an s if that is not given
    """
    return '%d %s' % (value, one if value == 1 else many or one + 's')


def day(seconds: float) -> str:
    """Return a time of day.

    :param seconds: since 1970, UTC
    """
    return datetime.datetime.fromtimestamp(
        seconds, datetime.UTC).strftime('%Y-%m-%d %H:%M:%S UTC')
