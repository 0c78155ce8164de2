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

"""Makes in a cloud what a run needs, and takes it away again."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import configuration
from lm_tempest_plugin.operator import discovery
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import flavors
from lm_tempest_plugin.operator import images
from lm_tempest_plugin.operator import inventory
from lm_tempest_plugin.operator import logins
from lm_tempest_plugin.operator import made as mades
from lm_tempest_plugin.operator import manifest as manifests
from lm_tempest_plugin.operator import marks
from lm_tempest_plugin.operator import networks
from lm_tempest_plugin.operator import options
from lm_tempest_plugin.operator import plan
from lm_tempest_plugin.operator import profiles
from lm_tempest_plugin.operator import workspace as workspaces

Say = Callable[[str], None]
SSH_PORT = 22


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What was asked for. Empty for what nobody said.

    :ivar image: path of a file, or an image's name or id
    :ivar ssh_user: who logs in to guests
    :ivar network: name or id
    :ivar flavors: names or ids of three flavors, separated by commas
    :ivar storage: block or shared
    :ivar config: path of a file with options of tempest.conf
    """

    image: str = ''
    ssh_user: str = ''
    network: str = ''
    flavors: str = ''
    storage: str = ''
    config: str = ''

    def or_else(self, before: dict[str, str]) -> 'Wishes':
        """Return these wishes, with those of before where there are none.

        :param before: by the names of attributes
        """
        return Wishes(**{
            each.name: getattr(self, each.name) or str(
                before.get(each.name, ''))
            for each in dataclasses.fields(self)})


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is known before anything is made.

    :ivar access: the way to the cloud
    :ivar cloud: what was found
    :ivar wishes: what was asked for, now and before
    :ivar manifest: what the workspace knows
    :ivar workspace: where files go
    :ivar network: the one that was chosen
    :ivar flavors: those that were named; empty for those of the profile
    :ivar conf: the plugin's own options
    :ivar others: what the operator's file has
    """

    access: accesses.Access
    cloud: discovery.Cloud
    wishes: Wishes
    manifest: manifests.Manifest
    workspace: workspaces.Workspace
    network: Any
    flavors: tuple[mades.Made, ...]
    conf: Any
    others: options.Options


def prepare(cloud: str, wishes: Wishes, workspace: workspaces.Workspace,
            profile: profiles.Profile | None = None) -> Prepared:
    """Find out all that can be in the way, before anything is made.

    :param cloud: its name in clouds.yaml
    :param wishes: what was asked for
    :param workspace: where files go
    :param profile: what is to be run; None if nobody said yet
    :raises OperatorError: something is in the way
    """
    manifest = manifests.load(workspace.directory, cloud)
    wishes = _with_image(wishes).or_else(_still_there(manifest.wishes))
    names = flavors.names(wishes.flavors)
    paths = [profile.path] if profile else []
    others: options.Options = {}
    if wishes.config:
        path = pathlib.Path(wishes.config).absolute()
        wishes = dataclasses.replace(wishes, config=str(path))
        others = options.load(path)
        paths.append(path)
    conf = options.registered(*paths)
    access = accesses.connect(cloud)
    found = discovery.discover(access)
    named = tuple(flavors.named(access, names) if names else ())
    prepared = Prepared(
        access, found, wishes, manifest, workspace,
        networks.choose(access, wishes.network), named, conf, others)
    _check_storage(prepared, profile)
    return prepared


def _with_image(wishes: Wishes) -> Wishes:
    """Return wishes that name an image's file wherever one looks from."""
    path = pathlib.Path(wishes.image)
    if not path.is_file():
        return wishes
    return dataclasses.replace(wishes, image=str(path.absolute()))


def _still_there(before: Mapping[str, str]) -> dict[str, str]:
    """Return wishes of before, without an image's file that has gone.

    The image that was made of it may be in the cloud.
    """
    path = pathlib.Path(before.get('image', ''))
    gone = path.is_absolute() and not path.is_file()
    return {**before, 'image': ''} if gone else dict(before)


def _check_storage(prepared: Prepared,
                   profile: profiles.Profile | None) -> None:
    """Refuse a profile whose cells would be left out without a word.

    :raises OperatorError: nobody said where disks are
    """
    if (profile is not None and plan.has_cells(prepared.conf, profile) and
            not _storage(prepared)):
        raise errors.OperatorError(
            'cloud %s: what is to come of the settings of hosts in profile '
            '%s depends on where disks of servers are, which no API tells '
            'here: say --storage block or --storage shared' % (
                prepared.access.cloud, profile.name))


def provide(prepared: Prepared, sizes: tuple[flavors.Size, ...], say: Say
            ) -> tuple[configuration.Facts, list[mades.Made]]:
    """Make what every run needs: image, flavors, network.

    :param prepared: what is known
    :param sizes: of the flavors, where none were named
    :param say: called with a line for each thing
    :returns: what is known then, and what there is
    :raises OperatorError: the cloud refuses
    """
    access, wishes = prepared.access, prepared.wishes
    there: list[mades.Made] = []

    def told(*found: mades.Made) -> None:
        for each in found:
            there.append(each)
            say(str(each))

    image = images.provide(access, wishes.image, wishes.ssh_user)
    told(image.made)
    chosen = prepared.flavors or flavors.provide(access, sizes, image)
    told(*chosen)
    network = networks.provide(access, prepared.network)
    told(*network.made)
    return configuration.Facts(
        access.account, prepared.cloud, image,
        [each.identifier for each in chosen], network,
        _storage(prepared)), there


def _storage(prepared: Prepared) -> str:
    """Return where disks are: as was said, or as placement has it."""
    return (prepared.wishes.storage or
            str(prepared.conf.live_migration_ha.storage or '') or
            prepared.cloud.storage)


def describe(facts: configuration.Facts) -> list[str]:
    """Return what was found, in words.

    :param facts: what is known
    """
    cloud = facts.cloud
    said = [
        'compute API %s to %s; hosts: %s' % (
            cloud.oldest, cloud.newest, ', '.join(
                host.name for host in cloud.hosts)),
        'disks of servers: %s' % (facts.storage or (
            'not known, since no API tells; say it with --storage block or '
            '--storage shared'))]
    if cloud.unusable:
        said.append('hosts that are not used: %s' % ', '.join(
            '%s (%s, %s)' % (host.name, host.status, host.state)
            for host in cloud.unusable))
    return said


def make(cloud: str, wishes: Wishes, workspace: workspaces.Workspace,
         say: Say) -> None:
    """Make all that is missing, and write tempest.conf.

    :param cloud: its name in clouds.yaml
    :param wishes: what was asked for
    :param workspace: where files go
    :param say: called with a line for each thing
    :raises OperatorError: something is in the way; what was made before
        that stays, and is found the next time
    """
    workspace.check(workspace.tempest_conf)
    prepared = prepare(cloud, wishes, workspace)
    workspace.make()
    facts, there = provide(prepared, flavors.SIZES, say)
    group = networks.provide_group(prepared.access, [
        SSH_PORT, prepared.conf.live_migration_ha.tcp_echo_port])
    pair, manifest = logins.provide(
        prepared.access, workspace.directory, prepared.manifest)
    for each in (group, pair):
        there.append(each)
        say(str(each))
    text = options.render(configuration.build(
        facts, workspace, prepared.others))
    changed = workspace.write(workspace.tempest_conf, text)
    _remember(manifest, prepared.wishes, there, workspace)
    for line in describe(facts):
        say(line)
    say('%s: %s (it has the password of user %s)' % (
        workspace.tempest_conf, 'written' if changed else 'as it was',
        facts.account.username))
    if not any(each.new for each in there):
        say('Nothing was made: all was there already.')


def _remember(manifest: manifests.Manifest, wishes: Wishes,
              there: list[mades.Made],
              workspace: workspaces.Workspace) -> None:
    made = [*manifest.made, *(
        '%s %s (%s)' % (each.kind, each.name, each.identifier)
        for each in there if each.new)]
    dataclasses.replace(
        manifest, wishes=dataclasses.asdict(wishes),
        made=tuple(dict.fromkeys(made))).save(workspace.directory)


def delete(cloud: str, workspace: workspaces.Workspace,
           say: Say) -> bool:
    """Delete what was made, and nothing else.

    What cannot be deleted keeps nothing else from it. The files that hold
    the password go first, even if the cloud cannot be asked.

    :param cloud: its name in clouds.yaml
    :param workspace: whose configuration goes as well
    :param say: called with a line for each thing
    :returns: whether all of it is gone
    :raises OperatorError: the cloud cannot be reached, or the workspace is
        another cloud's, or what it knows cannot be written
    """
    manifest = manifests.load(workspace.directory, cloud)
    files = workspace.clear(workspace.tempest_conf, workspace.verify_conf)
    _tell(say, *files)
    access = accesses.connect(cloud)
    removal = inventory.remove(access)
    _tell(say, removal.deleted, removal.kept)
    pairs, held, manifest = _delete_pair(access, workspace, manifest)
    _tell(say, pairs, held)
    if not any((*files, removal.deleted, removal.kept, pairs, held)):
        say('Nothing to delete: there is nothing that was made here.')
    left = dataclasses.replace(
        manifest, wishes={}, made=manifest.made if removal.kept else ())
    if left != manifest:
        left.save(workspace.directory)
    return not (files[1] or removal.kept or held)


def _delete_pair(access: accesses.Access, workspace: workspaces.Workspace,
                 manifest: manifests.Manifest
                 ) -> tuple[list[str], list[str], manifests.Manifest]:
    """Delete the key pair.

    :returns: what was deleted, and what could not be, in words, and what
        the workspace knows then
    """
    try:
        deleted, left = logins.remove(access, workspace.directory, manifest)
    except errors.OperatorError as exc:
        return [], ['key pair %s: %s' % (marks.NAME, exc)], manifest
    return deleted, [], left


def _tell(say: Say, deleted: Iterable[str], kept: Iterable[str]) -> None:
    """Say what became of what was to be deleted."""
    for each in deleted:
        say('%s: deleted' % each)
    for each in kept:
        say('NOT deleted: %s' % each)
