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

"""Build servers by stacks of Heat, and take those of an existing stack."""

import dataclasses
import pathlib
from typing import Any

from tempest.lib.common.utils import data_utils
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin.guests import builder


@dataclasses.dataclass(frozen=True)
class StackOptions:
    """Options of a StackBuilder.

    :ivar image: id of the default image
    :ivar template: path of the template; empty for the plugin's own
    :ivar parameters: further parameters of the template; they override
    :ivar stack_id: UUID or name of an existing stack; empty for none
    :ivar key_file: path of the private key for SSH to its servers
    """

    image: str
    template: str = ''
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    stack_id: str = ''
    key_file: str = ''

    @classmethod
    def of(cls, conf: Any) -> 'StackOptions':
        """Return the options of a configuration.

        :param conf: values of Tempest's and our groups
        """
        own = conf.live_migration_ha
        return cls(conf.compute.image_ref, own.heat_template,
                   own.heat_parameters, own.stack_id, own.stack_key_file)


class StackBuilder(builder.GuestBuilder):
    """Builds the servers of a test by stacks, each with several servers."""

    def __init__(self, test: Any, owner: Any, admin: api.Clients,
                 options: builder.GuestOptions, client: stacks.StacksClient,
                 stack: StackOptions) -> None:
        """Prepare the builder. It makes no request yet.

        :param test: as of GuestBuilder
        :param owner: client manager of the project that owns the stacks. The
            project is the operator's own, so its quota stays as it is.
        :param admin: as of GuestBuilder
        :param options: as of GuestBuilder
        :param client: client of Heat, of the same owner
        :param stack: see StackOptions
        """
        super().__init__(test, owner, admin, dataclasses.replace(
            options, dynamic_credentials=False))
        self.client = client
        self._stack = stack

    def build(self, number: int = 1, host: str = '', flavor: str = '',
              **kwargs: Any) -> list[builder.Guest]:
        """Build servers by one stack, and return them when all are ACTIVE.

        Servers that are no plain ones, with volumes for example, are built
        by nova, because templates know nothing of them.

        :param number: number of servers
        :param host: name of the host on which they are built; empty to leave
            it to nova
        :param flavor: id of their flavor; empty for the default flavor
        :param kwargs: more parameters of create_server()
        :raises TempestException: Heat or nova cannot build them
        """
        if kwargs.keys() - {'image_id'}:
            return super().build(number, host, flavor, **kwargs)
        return self.deploy(number, host, flavor, **kwargs)[1]

    def deploy(self, number: int, host: str = '', flavor: str = '',
               image_id: str = ''
               ) -> tuple[stacks.Stack, list[builder.Guest]]:
        """Create a stack of servers, and return it with its servers.

        :param number: number of servers
        :param host: as of build()
        :param flavor: as of build()
        :param image_id: id of their image; empty for the default image
        :raises StackError: the template lacks a parameter, or Heat cannot
            create the stack
        """
        path = pathlib.Path(self._stack.template or stacks.TEMPLATE)
        try:
            template = path.expanduser().read_text('utf-8')
        except (OSError, UnicodeDecodeError) as exc:
            raise exceptions.InvalidConfiguration(
                f'[live_migration_ha] heat_template: {path} cannot be read: '
                f'{getattr(exc, "strerror", None) or exc}') from exc
        _, login = self._login
        port = self._options.tcp_echo_port
        parameters = {
            'count': number, 'host': host, 'echo_port': port,
            'flavor': flavor or self._options.flavor_ref,
            'image': image_id or self._stack.image,
            'network': self._test.get_tenant_network()['id'],
            'key': login['keypair']['name'] if login else '',
            'workload': builder.echo_script(port), **self._stack.parameters}
        self.client.check_parameters(template, parameters, path)
        name = data_utils.rand_name(
            prefix=self._options.name_prefix,
            name=f'{type(self._test).__name__}-stack')
        timeout_s = self._options.build_timeout_s * number
        # Before the request, for it may be interrupted.
        self._test.addCleanup(self.client.delete, name, timeout_s)
        stack = self.client.create(name, template, parameters, timeout_s)
        return stack, list(map(self._built, self.client.servers(stack)))

    def adopt_stack(self) -> tuple[stacks.Stack | None, list[builder.Guest]]:
        """Return the configured stack, and its servers on one host.

        The host is that of its first server. The servers are not deleted at
        the end of the test.

        :returns: no stack and no servers if none is configured
        :raises StackError: there is no such stack, or it is not complete, or
            it has no servers
        :raises InvalidConfiguration: the private key cannot be read
        :raises TempestException: one of its servers is not ACTIVE
        """
        if not self._stack.stack_id:
            return None, []
        stack = self.client.complete(self._stack.stack_id)
        guests = self.adopt_servers(
            [self._admin.servers.show_server(each)['server']
             for each in self.client.servers(stack)],
            self._stack.key_file, 'stack_key_file')
        if not guests:
            raise stacks.StackError(f'{stack} has no servers')
        return stack, [each for each in guests
                       if each.host == guests[0].host]
