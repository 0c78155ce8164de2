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
import pathlib
import subprocess

import setuptools

HERE = pathlib.Path(__file__).resolve().parent


def version_is_known():
    """Say whether pbr can find a version: in an sdist, or from git."""
    if 'PBR_VERSION' in os.environ or (HERE / 'PKG-INFO').exists():
        return True
    try:
        subprocess.run(['git', 'rev-parse', '--git-dir'], cwd=HERE,
                       check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


# A tree without PKG-INFO and without a git that answers: an archive made by
# a forge, or a checkout that belongs to another user. pbr would refuse it.
if not version_is_known():
    os.environ['PBR_VERSION'] = '1.0.0.dev0'

setuptools.setup(pbr=True)
