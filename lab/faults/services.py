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


"""Faults of nova's own programs and of the services that it needs."""

from __future__ import annotations

import collections.abc
import email.utils
import functools
import pathlib
import shutil
import time
import typing

import openstack

from lab import errors
from lab.faults.fault import Fault
from lab.faults.fault import Missing
from lab.faults.fault import Place
from lab.faults.fault import When
from lab.faults import programs
from lab import fleet
from lab.services import base
from lab.services.nova import Nova
from lab import supervisor
from lab.topology import CONTROLLER
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin import utils

DATABASE_S = 15
NEUTRON_S = 30
#: A migration that was asked for while nova-conductor was paused begins when
#: it goes on.
LATE_S = 180
#: Services report every 10 s, and count as down after 60 s.
SERVICES_S = 120
#: First version of placement in which providers can be nested, allocations
#: have generations, and inventories can be of an own class.
PLACEMENT = '1.29'
CUSTOM = 'CUSTOM_LM_FAULT'
EXTRA_PROVIDER = 'lm-fault'
SHARES = 'MISC_SHARES_VIA_AGGREGATE'
AGGREGATE = 'f2f7a1de-0bd1-4b7e-8d5c-0d6f1c9a57e1'
#: Date headers have whole seconds.
CLOCK_S, CLOCK_ERROR_S = -600, 3
CLOCK_SOURCE = pathlib.Path(__file__).with_name('clock.c')
#: They stamp everything that nova's API tells: nova-compute writes to the
#: database through nova-conductor.
WITH_CLOCK = ('nova-conductor', 'nova-scheduler', 'nova-api')


def _keep_running(place: Place) -> None:
    fleet.sql(place.layout, (
        'CREATE TRIGGER lm_never_ends BEFORE UPDATE ON migrations FOR EACH '
        "ROW SET NEW.status = IF(NEW.status = 'completed', 'running', "
        'NEW.status);'))


def _let_end(place: Place) -> None:
    fleet.sql(place.layout, 'DROP TRIGGER IF EXISTS lm_never_ends;')
    fleet.sql(place.layout, (
        "UPDATE migrations SET status = 'completed' WHERE status = "
        "'running' AND migration_type = 'live-migration';"))


def _fail_event(place: Place) -> None:
    fleet.sql(place.layout, (
        'CREATE TRIGGER lm_event_fails BEFORE UPDATE ON '
        'instance_actions_events FOR EACH ROW SET NEW.result = '
        "IF(NEW.event = 'compute_pre_live_migration', 'Error', "
        'NEW.result);'))


def _let_events_be(place: Place) -> None:
    fleet.sql(place.layout, 'DROP TRIGGER IF EXISTS lm_event_fails;')


def _is_planted(trigger: str, place: Place) -> str:
    found = [name for name, *_ in fleet.sql(place.layout, 'SHOW TRIGGERS;')]
    return '' if trigger in found else 'the trigger is gone'


def _reset_state(place: Place) -> None:
    openstack.connect().compute.reset_server_state(place.server_id, 'active')


def _delete(place: Place) -> None:
    openstack.connect().compute.delete_server(place.server_id)


def _acted(action: str, place: Place) -> str:
    """Return why an action on the server is not there; empty if it is."""
    found = fleet.sql(place.layout, (
        'SELECT instance_uuid, action FROM instance_actions;'))
    return '' if [place.server_id, action] in found else (
        f'there is no action {action}')


def _nothing(place: Place) -> None:
    """Heal a fault that is over, or ends with the server."""


def _restart_rabbitmq(place: Place) -> None:
    programs.supervisor().restart('rabbitmq')


def _pause_conductor(place: Place) -> None:
    programs.pause('nova-conductor')


def _resume_conductor(place: Place) -> None:
    """Let nova-conductor go on, and wait until the late migration ends."""
    programs.resume('nova-conductor')
    utils.wait_until(
        # First there is none.
        lambda rows: bool(rows) and all(task == 'NULL' and record in (
            'completed', 'failed', 'error', 'cancelled')
            for _, _, _, task, record in rows),
        lambda: [row for row in fleet.sql(place.layout, fleet.STATES)
                 if row[0] == place.server_id],
        'the late migration to end', LATE_S, error=errors.LabError)


def _is_paused(program: str, place: Place) -> str:
    return '' if programs.paused(program) else f'{program} is not paused'


def _pause_for(seconds: float, program: str, place: Place) -> None:
    programs.for_a_while(
        seconds, functools.partial(programs.pause, program),
        functools.partial(programs.resume, program))


def _resume(program: str, place: Place) -> None:
    programs.resume(program)


class _Placement:
    """Providers and allocations, by placement's API."""

    def __init__(self) -> None:
        self._api = openstack.connect().placement

    def _call(self, method: str, path: str, absent: bool = False,
              **values: typing.Any) -> typing.Any:
        """Call placement.

        :param absent: whether 404 is an answer, too: None
        :raises errors.LabError: if it refuses
        """
        answer = self._api.request(path, method, microversion=PLACEMENT,
                                   **values)
        if absent and answer.status_code == 404:
            return None
        if not answer.ok:
            raise errors.LabError(f'placement refuses {method} {path}: '
                                  f'{answer.text.strip()}')
        return answer.json() if answer.content else {}

    def provider(self, name: str) -> dict[str, typing.Any] | None:
        """Return a provider; None if there is none of that name."""
        found = self._call('GET', f'/resource_providers?name={name}')
        return next(iter(found['resource_providers']), None)

    def make(self, host: str, nested: bool) -> str:
        """Make a provider with a class of its own, and return its UUID.

        :param host: name of the host
        :param nested: whether it is a child of the host's provider, or one
            that shares its resources with the host
        """
        self._call('PUT', f'/resource_classes/{CUSTOM}')
        root = self.provider(host)
        assert root is not None
        parent = {'parent_provider_uuid': root['uuid']} if nested else {}
        made = self._call('POST', '/resource_providers', json={
            'name': EXTRA_PROVIDER, **parent})
        path = f'/resource_providers/{made["uuid"]}'
        made = self._call('PUT', f'{path}/inventories', json={
            'resource_provider_generation': made['generation'],
            'inventories': {CUSTOM: {'total': 4}}})
        if not nested:
            self._call('PUT', f'{path}/traits', json={
                'resource_provider_generation':
                    made['resource_provider_generation'],
                'traits': [SHARES]})
            for name in (EXTRA_PROVIDER, host):
                self._share(name, [AGGREGATE])
        return str(path.rpartition('/')[2])

    def _share(self, name: str, aggregates: list[str]) -> None:
        """Set the aggregates of a provider."""
        provider = self.provider(name)
        assert provider is not None
        self._call(
            'PUT', f'/resource_providers/{provider["uuid"]}/aggregates',
            json={'aggregates': aggregates,
                  'resource_provider_generation': provider['generation']})

    def allocate(self, server_id: str, provider: str,
                 resources: dict[str, int]) -> None:
        """Give a server an allocation beside those that it has."""
        path = f'/allocations/{server_id}'
        held = self._call('GET', path)
        held['allocations'][provider] = {'resources': resources}
        self._put(path, held)

    def release(self, server_id: str, provider: str) -> None:
        """Take the allocation on a provider from a server, if it has one."""
        path = f'/allocations/{server_id}'
        held = self._call('GET', path)
        if held['allocations'].pop(provider, None) is not None:
            self._put(path, held)

    def _put(self, path: str, held: dict[str, typing.Any]) -> None:
        self._call('PUT', path, json={
            **{name: held[name] for name in (
                'consumer_generation', 'project_id', 'user_id')},
            'allocations': {
                uuid: {'resources': each['resources']}
                for uuid, each in held['allocations'].items()}})

    def holds(self, server_id: str, provider: str) -> bool:
        """Return whether a server has an allocation on a provider."""
        return provider in self._call(
            'GET', f'/allocations/{server_id}')['allocations']

    def unmake(self, host: str) -> None:
        """Delete the provider and the class that make() made."""
        provider = self.provider(EXTRA_PROVIDER)
        if provider is not None:
            self._share(host, [])
            self._call('DELETE', f'/resource_providers/{provider["uuid"]}')
        self._call('DELETE', f'/resource_classes/{CUSTOM}', absent=True)


def _allocate_extra(nested: bool, place: Place) -> None:
    placement = _Placement()
    placement.allocate(place.server_id, placement.make(
        place.destination, nested), {CUSTOM: 1})


def _release_extra(place: Place) -> None:
    placement = _Placement()
    provider = placement.provider(EXTRA_PROVIDER)
    if provider is not None:
        placement.release(place.server_id, provider['uuid'])
    placement.unmake(place.destination)


def _root(place: Place) -> str:
    """Return the UUID of the source's provider."""
    provider = _Placement().provider(place.source)
    assert provider is not None
    return str(provider['uuid'])


def _leak(place: Place) -> None:
    _Placement().allocate(place.server_id, _root(place), {'VCPU': 1})


def _mend_leak(place: Place) -> None:
    _Placement().release(place.server_id, _root(place))


def _holds(name: collections.abc.Callable[[Place], str], place: Place) -> str:
    placement = _Placement()
    provider = placement.provider(name(place))
    return '' if provider and placement.holds(
        place.server_id, provider['uuid']) else 'the allocation is gone'


def _clock_ahead_s() -> float:
    """Return how far nova's clock is ahead of ours, in seconds."""
    session = openstack.connect().compute
    answer = session.get('/', microversion=None)
    stamp = email.utils.parsedate_to_datetime(answer.headers['Date'])
    return stamp.timestamp() - time.time()


def _services_up() -> bool:
    """Return whether nova calls all its services up."""
    return all(service.state == 'up'
               for service in openstack.connect().compute.services())


def _set_clock(variables: dict[str, str], place: Place) -> None:
    """Restart the programs that stamp times, and wait for nova."""
    conf = place.layout.etc(CONTROLLER.name) / 'supervisord.conf'
    programs.set_variables(conf, WITH_CLOCK, variables)
    supervisor.wait_for_port('nova-api', CONTROLLER.address,
                             Nova.endpoint.port)
    # The reports from before have other times.
    utils.wait_until(bool, _services_up, 'all services to be up', SERVICES_S,
                     error=errors.LabError)


def _move_clock(place: Place) -> None:
    if shutil.which('cc') is None:
        raise Missing('There is no C compiler: end the lab, and install the '
                      'packages gcc and libc6-dev.')
    library = place.layout.data(CONTROLLER.name) / 'tmp' / 'clock.so'
    base.run('cc', '-shared', '-fPIC', '-O2', f'-DAHEAD_S={CLOCK_S}', '-o',
             library, CLOCK_SOURCE)
    _set_clock({'LD_PRELOAD': str(library)}, place)


def _mend_clock(place: Place) -> None:
    _set_clock({}, place)


def _clock_is_moved(place: Place) -> str:
    return _moved(_clock_ahead_s())


def _moved(ahead_s: float | None) -> str:
    """Return why that is not the difference; empty if it is.

    :param ahead_s: nova's clock minus ours; None if it is not known
    """
    if ahead_s is not None and abs(ahead_s - CLOCK_S) < CLOCK_ERROR_S:
        return ''
    return f"nova's clock is ahead by {ahead_s} s, not by {CLOCK_S} s"


FAULTS = (
    Fault('record', "the record is kept from ending in nova's database",
          When.BEFORE, _keep_running, _let_end, (Kind.STUCK,),
          cause=r'nova did not end the record', checks=('one-record',),
          present=functools.partial(_is_planted, 'lm_never_ends')),
    Fault('event', "an event is kept as failed in nova's database, though it "
          'did not fail', When.BEFORE, _fail_event, _let_events_be,
          (Kind.COMPLETED,), cause=r'compute_pre_live_migration',
          checks=('events',),
          present=functools.partial(_is_planted, 'lm_event_fails')),
    Fault('reset-state', 'an administrator resets the state of the server '
          'while copying', When.RUNNING, _reset_state, _nothing,
          # nova ends the copy, and then stumbles over the state.
          (Kind.INCONSISTENT,), cause=r'meanwhile resetState by user',
          checks=('server-status', 'allocations', 'port-bindings'),
          present=functools.partial(_acted, 'resetState')),
    Fault('delete', 'the server is deleted while copying', When.RUNNING,
          _delete, _nothing, (Kind.LOST,), checks=('server-exists',),
          # The copy may end before nova-compute gets to it. The port is gone
          # then, and the guest runs on without metadata.
          consequences=('outage', 'stall', 'metadata', 'instance-directories',
                        'interfaces', 'domains'),
          cause=r'meanwhile delete by user',
          present=functools.partial(_acted, 'delete')),
    Fault('rabbitmq', 'RabbitMQ is restarted while copying', When.RUNNING,
          _restart_rabbitmq, _nothing,
          # It depends on the message that is lost, if one is. The verdict is
          # compared with the database and libvirt as well.
          (Kind.COMPLETED, Kind.ROLLED_BACK, Kind.STUCK, Kind.INCONSISTENT),
          cause=r'^$|MessagingTimeout|message|never got beyond running',
          consequences=('server-status', 'allocations', 'port-bindings',
                        'one-record', 'left-migrating',
                        'instance-directories', 'interfaces')),
    Fault('conductor', 'nova-conductor hangs before it makes the record',
          When.BEFORE, _pause_conductor, _resume_conductor, (Kind.STUCK,),
          cause=r'the request was accepted and nothing followed',
          checks=('server-status', 'left-migrating', 'one-record'),
          present=functools.partial(_is_paused, 'nova-conductor')),
    Fault('mariadb-15s', 'MariaDB hangs for 15 s while copying',
          When.RUNNING, functools.partial(_pause_for, DATABASE_S, 'mariadb'),
          functools.partial(_resume, 'mariadb'),
          (Kind.COMPLETED, Kind.ROLLED_BACK)),
    Fault('neutron-30s', "neutron's API hangs for 30 s", When.PREPARING,
          functools.partial(_pause_for, NEUTRON_S, 'neutron'),
          functools.partial(_resume, 'neutron'), (Kind.COMPLETED,),
          # Seen: neutron takes OVN's news in another order, and leaves it
          # DOWN.
          consequences=('port-status',)),
    Fault('nested-provider', "a provider below the destination's holds an "
          'allocation of the server, which is right', When.ARRIVED,
          functools.partial(_allocate_extra, True), _release_extra,
          (Kind.COMPLETED,),
          present=functools.partial(_holds, lambda place: EXTRA_PROVIDER)),
    Fault('sharing-provider', 'a provider that shares with the destination '
          'holds an allocation of the server, which is right', When.ARRIVED,
          functools.partial(_allocate_extra, False), _release_extra,
          (Kind.COMPLETED,),
          present=functools.partial(_holds, lambda place: EXTRA_PROVIDER)),
    Fault('leaked-allocation', 'an allocation of the server is left on the '
          'source', When.ARRIVED, _leak, _mend_leak, (Kind.COMPLETED,),
          checks=('allocations',), cause='compute1',
          present=functools.partial(_holds, lambda place: place.source)),
    Fault('clock', "the cloud's clock is 10 min behind, which is no fault of "
          'the migration', When.BEFORE, _move_clock, _mend_clock,
          (Kind.COMPLETED,), present=_clock_is_moved,
          told=lambda drain: _moved(drain.cloud_clock_ahead_s)),
)
