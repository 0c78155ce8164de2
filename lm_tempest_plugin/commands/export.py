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

"""tempest live-migration-ha export: records for what draws and alerts."""

import argparse

from cliff import command

from lm_tempest_plugin.commands import records
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results import output

OPENMETRICS, INFLUX = 'openmetrics', 'influx'
BAD_INPUT = 2


class Export(command.Command):
    """Write records in a form that monitoring takes.

    openmetrics: a summary of these records as gauges, for the textfile
    collector of Prometheus' node_exporter. influx: InfluxDB's line protocol
    with nanoseconds, a point for each live migration and each drain.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        records.add_argument(parser)
        parser.add_argument(
            '--format', required=True, choices=(OPENMETRICS, INFLUX),
            help='form to write')
        parser.add_argument(
            '-o', '--output', metavar='FILE',
            help='file to write (default: print it)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write what was asked for.

        :returns: 0 if it was written, 2 if the records cannot be used or
            nothing can be written
        """
        try:
            if parsed_args.output:
                output.check(parsed_args.output,
                             records.files(parsed_args.records))
            collected = records.read(parsed_args.records)
            text = _text(collected, parsed_args.format)
            if parsed_args.output:
                output.write(parsed_args.output, text)
            else:
                self.app.stdout.write(text)
        except (chain.RecordsError, output.OutputError,
                MissingLibrary) as exc:
            self.app.stderr.write('%s\n' % exc)
            return BAD_INPUT
        for remark in collected.remarks:
            self.app.stderr.write('%s\n' % remark)
        return 0


class MissingLibrary(Exception):
    """What is needed is not installed; the message says how to get it."""


def _text(collected: collection.Collection, form: str) -> str:
    """Return what is to be written.

    :raises MissingLibrary: what makes it is not installed
    """
    if form == INFLUX:
        from lm_tempest_plugin.results.export import influx
        return ''.join('%s\n' % line for line in influx.lines(collected))
    try:
        from lm_tempest_plugin.results.export import openmetrics
    except ImportError as exc:
        raise MissingLibrary(
            'OpenMetrics needs %s, which is not installed: pip install '
            'lm-tempest-plugin[report]' % exc.name) from exc
    return openmetrics.render(collected)
