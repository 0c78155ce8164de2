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

"""The checks of a drain, one function each.

A check takes an :class:`registry.Observation` and yields a
:class:`~lm_tempest_plugin.results.schema.Problem` for everything that is not
as expected. Its name is its slug. To add a check, write a function with the
decorator ``registry.check`` in one of these modules.
"""

import importlib

# Importing a module registers its checks; they run in this order.
for _name in ('nova', 'guest', 'network', 'hosts'):
    importlib.import_module(f'{__name__}.{_name}')
