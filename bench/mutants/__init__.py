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

"""Find out which bugs in nova's live migration path the checks would see.

Start the lab (tools/run-lab.sh up), then run in the root of the repository::

    tools/run-lab.sh exec -- python -m bench.mutants --list
    tools/run-lab.sh exec -- python -m bench.mutants --sample 200 --seed 1

A mutant is nova with one call changed: missing, with an exception, a wrong
return value, or a wrong parameter (Cotroneo et al., "How bad can a bug get?",
ESEC/FSE 2019). First, unchanged nova is watched in each scenario (a round
trip, an aborted migration, a forced one): which calls does it execute, and
which facts do databases, libvirt, hosts and guest show afterwards? Then each
mutant of a sample is put into nova's services, and the scenario that executes
its call is played with all checks. A mutant is

killed
    a check has found a problem, or nova's services did not start;
survived
    no check has found any, and the facts are those of unchanged nova;
silent
    no check has found any, although the facts differ;
equivalent
    a person has reviewed it: no user could tell it from nova;
never executed
    no scenario executes its call.

Results are stored after each mutant. The same command goes on with those that
are missing, so a sample may take several nights.
"""
