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

"""Attempts and drains in InfluxDB's line protocol, a point for each.

The reference of the protocol is
https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/

A client library would bring an HTTP client and its own event loop for what
are three rules of escaping, so the lines are written here, and a test has a
real influxd read them.

What a few values share are tags: series are indexed by them, and each
combination costs memory for as long as the database is kept. What is
different for each server, such as its name, is a field.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import re

from lm_tempest_plugin.results import collection

ATTEMPT = 'live_migration'
DRAIN = 'live_migration_drain'
# Before the name of an option, so that none is taken for a tag of ours.
SETTING = 'setting_'
PHASE = 'phase_'

Value = str | bool | int | float
_KEY = re.compile(r'([,= ])')
_STRING = re.compile(r'(["\\])')
_MS_NS = 1_000_000


def lines(collected: collection.Collection) -> Iterator[str]:
    """Yield a line for each attempt and each drain, without its end.

    The same records make the same lines each time, so that points that are
    written twice are in the database once.

    :param collected: what the records say
    """
    places = _Places()
    for attempt in collected.attempts:
        yield line(ATTEMPT, _attempt_tags(attempt), _attempt_fields(attempt),
                   places.time_ns(ATTEMPT, attempt.run, attempt.requested_s))
    for drain in collected.drains:
        yield line(DRAIN, _drain_tags(drain), _drain_fields(drain),
                   places.time_ns(DRAIN, drain.run, drain.began_s))


def line(measurement: str, tags: Mapping[str, str],
         fields: Mapping[str, Value | None], time_ns: int) -> str:
    """Return a point as a line, without its end.

    :param measurement: of what it is a point
    :param tags: their values; one that is empty is left out, since there
        are none such
    :param fields: their values; None is left out
    :param time_ns: nanoseconds since 1970, UTC
    :raises ValueError: there is no field
    """
    written = ['%s=%s' % (escape(name), _field(value))
               for name, value in fields.items() if value is not None]
    if not written:
        raise ValueError('a point of %s has no field' % measurement)
    return '%s %s %d' % (
        ','.join([escape(measurement), *(
            '%s=%s' % (escape(name), escape(value))
            for name, value in sorted(tags.items()) if value)]),
        ','.join(written), time_ns)


def escape(text: str) -> str:
    r"""Return a name, or the value of a tag, as a line has it.

    A backslash stands for itself there unless a comma, a space or an equals
    sign follows. So nothing can end with one: a space is put after it. A
    line's end cannot be written either: \n and \r stand for it.

    :param text: of any characters
    """
    text = _on_one_line(text)
    if text.endswith('\\'):
        text += ' '
    return _KEY.sub(r'\\\1', text)


def quote(text: str) -> str:
    r"""Return the value of a field that is text.

    :param text: of any characters; \n and \r stand for a line's end, since
        what reads or splits such a file goes by lines
    """
    return '"%s"' % _STRING.sub(r'\\\1', _on_one_line(text))


def _on_one_line(text: str) -> str:
    return text.replace('\n', r'\n').replace('\r', r'\r')


class _Places:
    """Gives each point a time of its own.

    Records have milliseconds; of two points with the same tags and time,
    the second would replace the first.
    """

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str, int], int] = {}

    def time_ns(self, measurement: str, run: str, at_s: float) -> int:
        """Return the time of a point, later by 1 ns for each one before."""
        at_ms = round(at_s * 1000)
        key = measurement, run, at_ms
        place = self._taken.get(key, 0)
        self._taken[key] = place + 1
        return at_ms * _MS_NS + place


def _field(value: Value) -> str:
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, int):
        return '%di' % value
    if isinstance(value, float):
        return repr(value)
    return quote(value)


def _common_tags(each: collection.Attempt | collection.Drain
                 ) -> dict[str, str]:
    return {
        'run': each.run, 'storage': each.cell.storage,
        'strategy': each.strategy, 'source': each.source,
        'destination': each.destination,
        'measured': _word(each.measured), 'good': _word(each.good),
        **{SETTING + name: _word(value)
           for name, value in each.cell.settings}}


def _attempt_tags(attempt: collection.Attempt) -> dict[str, str]:
    return {**_common_tags(attempt), 'flavor': str(attempt.flavor),
            'servers': str(attempt.way.servers),
            'verdict': attempt.verdict}


def _attempt_fields(attempt: collection.Attempt
                    ) -> dict[str, Value | None]:
    return {
        'server_id': attempt.server_id, 'server_name': attempt.server_name,
        'drain': attempt.drain, 'trip': attempt.trip,
        'vcpus': attempt.flavor.vcpus,
        'ram_gib': float(attempt.flavor.ram_gib),
        'disk_gib': float(attempt.flavor.disk_gib),
        'cause': attempt.cause or None,
        'violations': '; '.join(attempt.violations) or None,
        'duration_s': float(attempt.duration_s),
        'queue_s': float(attempt.queue_s),
        'service_s': _float(attempt.service_s),
        **_longest('outage', attempt.outage),
        **_longest('control_outage', attempt.control),
        **_longest('stall', attempt.stall),
        'downtime_s': _float(attempt.downtime_s),
        'memory_bytes': attempt.memory_bytes,
        **_phases(attempt.phases)}


def _phases(phases: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of each; a phase may come twice."""
    found: dict[str, float] = {}
    for name, seconds in phases:
        key = '%s%s_s' % (PHASE, name)
        found[key] = found.get(key, 0.0) + seconds
    return found


def _longest(name: str, longest: collection.Longest | None
             ) -> dict[str, Value | None]:
    if longest is None:
        return {}
    return {name + '_s': float(longest.seconds),
            name + '_error_s': float(longest.error_s),
            name + '_bound_s': float(longest.bound_s)}


def _drain_tags(drain: collection.Drain) -> dict[str, str]:
    return {**_common_tags(drain), 'transport': drain.transport}


def _drain_fields(drain: collection.Drain) -> dict[str, Value | None]:
    return {
        'drain': drain.identifier, 'name': drain.name, 'trip': drain.trip,
        'servers': drain.servers, 'wall_s': float(drain.wall_s),
        'ran': drain.ran, 'ran_mean': _float(drain.ran_mean),
        'queued': drain.queued,
        'contradictions': '; '.join(drain.contradictions) or None,
        'left_over': '; '.join(drain.left_over) or None}


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _word(value: int | bool) -> str:
    return str(value).lower()
