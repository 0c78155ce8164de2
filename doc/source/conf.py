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

import os
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, TOP)

# -- General configuration --------------------------------------------------

extensions = [
    'sphinx.ext.autodoc',
    'sphinxcontrib.apidoc',
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'reno.sphinxext',
]

project = 'lm-tempest-plugin'
copyright = 'the contributors of lm-tempest-plugin'
master_doc = 'index'
source_suffix = {'.rst': 'restructuredtext'}
exclude_patterns = []
pygments_style = 'native'
add_module_names = False
modindex_common_prefix = ['lm_tempest_plugin.']

# -- The module reference, and the Tempest tests ----------------------------

# Unit tests are read where they are. The Tempest tests have a page of their
# own (tests/index.rst), for operators, not for readers of code.
apidoc_module_dir = os.path.join(TOP, 'lm_tempest_plugin')
apidoc_output_dir = os.path.join('reference', 'api')
apidoc_excluded_paths = ['tests']
apidoc_separate_modules = True
apidoc_toc_file = False

autodoc_member_order = 'bysource'
# What a test says of itself, not what it has from Tempest's base classes.
autodoc_inherit_docstrings = False

# -- HTML -------------------------------------------------------------------

html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_pdf_link = False
openstackdocs_repo_name = ''
