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
"""nova whose conductor sees that the request to the source was lost.

The conductor casts ``live_migration`` to the source and forgets it. If the
source has no queue at that moment, because RabbitMQ restarted and nova-compute
has not connected again, RabbitMQ drops the message: the record stays accepted
and the server MIGRATING.

Here the message is sent as mandatory, and one without a queue is an error:
the conductor gives the allocations back and ends the record, and the server is
ACTIVE. A message that is lost in a queue, or on the way to nova-compute, is
lost as before.
"""

import importlib

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='none', commit='none', services=('nova-conductor',),
    effect='',
    # tools/run-lab.sh faults rabbitmq shows it now and then.
    test='', check='', stock=False, kind=loader.CORRECTION)
casting = loader.Flag()


@BUG.after('nova.compute.rpcapi')
def patch(rpcapi):
    messaging = importlib.import_module('oslo_messaging')

    @BUG.wrap(rpcapi.ComputeAPI, 'prepare_for_alt_rpcserver')
    def prepare(original, self, client, server, version, **kwargs):
        if casting.on:
            kwargs['transport_options'] = messaging.TransportOptions(
                at_least_once=True)
        return original(self, client, server, version, **kwargs)

    @BUG.wrap(rpcapi.ComputeAPI, 'live_migration')
    def live_migration(original, self, ctxt, instance, dest, block_migration,
                       host, migration, migrate_data=None):
        try:
            with casting.raised():
                return original(self, ctxt, instance, dest, block_migration,
                                host, migration, migrate_data)
        except messaging.MessageUndeliverable as error:
            BUG.fired(f'server {instance.uuid}: no queue of {host}')
            raise rpcapi.exception.ComputeServiceUnavailable(
                host=host) from error
