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

import datetime
from email import utils
import time
from unittest import mock

from tempest.lib.common import rest_client
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import clock
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes

MINUTES = 600.0


def client(updated_at=None, state='up', **headers):
    """Return a ServicesClient whose answer has headers and one service."""
    service = {'host': 'alpha', 'state': state, 'updated_at': updated_at}
    return mock.Mock(list_services=mock.Mock(
        return_value=rest_client.ResponseBody(
            fakes.Response(200, **headers), {'services': [service]})))


def reported(ahead_s):
    """Return a time by a clock that is ahead, in nova's format."""
    return datetime.datetime.fromtimestamp(
        time.time() + ahead_s, datetime.UTC).replace(
        tzinfo=None).isoformat()


class AheadTest(base.TestCase):

    def test_by_the_date_of_the_answer(self):
        for ahead_s in (-MINUTES, 0.0, MINUTES):
            found = clock.ahead_s(client(
                reported(-5000), date=utils.formatdate(
                    time.time() + ahead_s, usegmt=True)))
            self.assertAlmostEqual(ahead_s, found, delta=1.5)

    def test_by_the_report_of_a_compute_service(self):
        for headers in ({}, {'date': 'yesterday'}):
            self.assertAlmostEqual(-MINUTES, clock.ahead_s(client(
                reported(-MINUTES), **headers)), delta=1.5)

    def test_unknown(self):
        self.assertIsNone(clock.ahead_s(client()))
        self.assertIsNone(clock.ahead_s(client(reported(0), 'down')))
        self.assertIsNone(clock.ahead_s(mock.Mock(list_services=mock.Mock(
            side_effect=lib_exc.ServerFault('no')))))
