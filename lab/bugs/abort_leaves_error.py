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

"""Present bug: an abort puts the server in ERROR.

nova 32.2.0 to 34.0.0 and master of August 2026: "Collect result of
_live_migration_operation" calls ``future.result()`` after the monitor, which
raises libvirt's error again when the rollback is done. nova then sets the
server to ERROR while its guest runs on. Nothing is patched here; the effect is
logged.

Place: ``_live_migration`` of the libvirt driver.
"""

from lab.bugs import loader

BUG = loader.Bug(
    __file__, number='open', commit='20a9f9d740 (brought it)',
    services=('nova-compute',),
    effect='an aborted live migration leaves the server in ERROR',
    test='test_abort_running', check='verdict', stock=False,
    profile='[live_migration_ha]\nrecovers_from_failure = true\n')


@BUG.after('nova.virt.libvirt.driver')
def patch(driver):
    """Log an error that is raised after the rollback."""
    @BUG.wrap(driver.LibvirtDriver, '_live_migration')
    def live_migration(original, self, context, instance, dest, post_method,
                       recover_method, *args, **kwargs):
        recovered = []

        def recover(*recover_args, **recover_kwargs):
            recover_method(*recover_args, **recover_kwargs)
            recovered.append(instance.uuid)

        try:
            return original(self, context, instance, dest, post_method,
                            recover, *args, **kwargs)
        except driver.libvirt.libvirtError as error:
            if recovered:
                BUG.fired(f'server {instance.uuid} is rolled back, and '
                          f'raised: {error}')
            raise
