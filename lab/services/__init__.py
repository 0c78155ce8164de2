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

"""One class for each service of the cloud.

A service is a subclass of :class:`lab.services.base.Service` in a module of
this package. It is found there; no list names it. A class says:

- ``packages``: the Debian packages that it needs
- ``project``: the distribution of its programs, which ``up --from`` replaces
- ``configuration``, ``configure()``: its files, from ``lab/templates``
- ``databases``, ``schema``, ``migrate()``: its schema
- ``endpoint``: its user and its entry in keystone's catalogue
- ``applications()``, ``programs()``: the processes that the supervisor keeps
- ``needs``: the services or programs that have to be ready before
- ``missing()``: a check, through the API, that it can be used

The order of start follows from ``needs`` alone (:mod:`lab.inside`).
"""
