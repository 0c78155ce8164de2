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

"""Plots of a report: each module is one section with its plots.

A module that defines ``PLACE`` and ``section(material)`` is found here by
itself. ``PLACE`` is a number: sections with smaller numbers come first.
"""

from collections.abc import Iterator
import importlib
import pkgutil
from typing import Any

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results.plots import shared


def sections(found: shared.Material) -> Iterator[document.Section]:
    """Yield the section of each plot, in the order of the page.

    :param found: the results, prepared for plots
    """
    modules: list[Any] = [
        importlib.import_module(f'{__name__}.{each.name}')
        for each in pkgutil.iter_modules(__path__)]
    for module in sorted((each for each in modules
                          if hasattr(each, 'PLACE')),
                         key=lambda each: each.PLACE):
        yield module.section(found)
