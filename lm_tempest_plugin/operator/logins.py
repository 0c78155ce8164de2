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

"""A key pair for people who want to look into a guest by hand.

The tests need none: they make one for each test. nova has no way to mark a
key pair, so the workspace's manifest knows it by name and public key.
"""

import dataclasses
import io
import pathlib
from typing import Any

import paramiko

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import files
from lm_tempest_plugin.operator import made
from lm_tempest_plugin.operator import manifest as manifests
from lm_tempest_plugin.operator import marks

FILE = 'id_guests'
BITS = 3072


def provide(access: accesses.Access, workspace: pathlib.Path,
            manifest: manifests.Manifest
            ) -> tuple[made.Made, manifests.Manifest]:
    """Return the key pair, and what the manifest says from now on.

    The private key is in the workspace, and the manifest is written before
    the key pair is made: a run that is killed leaves none that is not known.

    :param access: the way to the cloud
    :param workspace: for the private key
    :param manifest: of the workspace
    :raises OperatorError: the cloud refuses, or has one of that name that
        was not made from this workspace
    """
    there = _find(access)
    path = workspace / FILE
    if there is not None:
        _check_own(access, there, manifest)
        if path.exists():
            return _made(there, path, False), manifest
        # Nobody could log in with it any more.
        _delete(access, there)
    key = paramiko.RSAKey.generate(BITS)
    public = '%s %s' % (key.get_name(), key.get_base64())
    manifest = dataclasses.replace(
        manifest, key_pairs={**manifest.key_pairs, marks.NAME: public})
    private = io.StringIO()
    key.write_private_key(private)
    files.write(path, private.getvalue())
    manifest.save(workspace)
    with access.to('make key pair %s' % marks.NAME):
        pair = access.connection.compute.create_keypair(
            name=marks.NAME, public_key=public)
    return _made(pair, path, True), manifest


def remove(access: accesses.Access, workspace: pathlib.Path,
           manifest: manifests.Manifest
           ) -> tuple[list[str], manifests.Manifest]:
    """Delete the key pair if it is ours.

    :returns: what was deleted, in words, and what the manifest says then
    :raises OperatorError: the cloud cannot be asked, or a file not be
        changed
    """
    there = _find(access)
    deleted = []
    if there is not None and _own(there, manifest):
        _delete(access, there)
        deleted.append('key pair %s' % there.name)
    if marks.NAME in manifest.key_pairs:
        files.remove(workspace / FILE)
        manifest = dataclasses.replace(manifest, key_pairs={})
        manifest.save(workspace)
    return deleted, manifest


def _find(access: accesses.Access) -> Any:
    with access.to('list key pairs'):
        return next((each for each in access.connection.compute.keypairs()
                     if each.name == marks.NAME), None)


def _own(pair: Any, manifest: manifests.Manifest) -> bool:
    known = manifest.key_pairs.get(pair.name, '').split()[:2]
    # nova may add a comment to the key.
    return bool(known) and known == str(pair.public_key or '').split()[:2]


def _check_own(access: accesses.Access, pair: Any,
               manifest: manifests.Manifest) -> None:
    if not _own(pair, manifest):
        raise errors.OperatorError(
            'cloud %s: user %s has a key pair %s that was not made from this '
            'workspace, and it is left as it is: delete it, or use the '
            'workspace that it was made from' % (
                access.cloud, access.account.username, pair.name))


def _delete(access: accesses.Access, pair: Any) -> None:
    with access.to('delete key pair %s' % pair.name):
        access.connection.compute.delete_keypair(pair.name)


def _made(pair: Any, path: pathlib.Path, new: bool) -> made.Made:
    return made.Made('key pair', pair.fingerprint or '-', pair.name, new,
                     'private key in %s' % path)
