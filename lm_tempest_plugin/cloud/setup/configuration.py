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

"""tempest.conf for a cloud, other files with its options, and profiles.

A profile is such a file with a group [profile], which Tempest does not see.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import pathlib
import re
import tempfile
import types

from oslo_config import cfg
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin import config

# Values by section and name. An option that was given several times has
# several values; all but MultiOpt use the last one.
Options = dict[str, dict[str, list[str]]]

PROFILES = pathlib.Path(__file__).parent / 'profiles'
SUFFIX = '.conf'
GROUP = 'profile'
PROFILE_OPTIONS = ('about', 'regex', 'flavors')
REGEX = 'live_migration_ha'
STORAGES = ('block', 'shared')
# Groups of tempest.conf that choose an endpoint.
ENDPOINTS = {'identity': 'v3_endpoint_type', 'compute': 'endpoint_type',
             'image': 'endpoint_type', 'network': 'endpoint_type',
             'placement': 'endpoint_type', 'volume': 'endpoint_type'}


def load(path: pathlib.Path) -> Options:
    """Return the options in a file, read as Tempest reads it.

    :param path: the file
    :raises SetupError: it cannot be read
    """
    sections: Options = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except (OSError, UnicodeDecodeError, cfg.ParseError) as exc:
        reason = getattr(exc, 'strerror', None) or exc
        raise setup.SetupError(f'{path} cannot be read: {reason}') from exc
    return sections


def merge(*parts: Mapping[str, Mapping[str, list[str]]]) -> Options:
    """Return the options of all parts; a later part overrides.

    :param parts: options, weakest first
    """
    merged: Options = {}
    for part in parts:
        for section, values in part.items():
            merged.setdefault(section, {}).update(values)
    return merged


def convert(**sections: Mapping[str, object]) -> Options:
    """Return options from Python values; leave out those that are None.

    :param sections: ``_feature_`` in a name stands for ``-feature-``
    """
    return {name.replace('_feature_', '-feature-'): {
        option: [str(value)] for option, value in values.items()
        if value is not None} for name, values in sections.items()}


def render(options: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return the text of a file with options.

    :param options: the options
    """
    lines: list[str] = []
    for section, values in options.items():
        lines += ['', f'[{section}]']
        for name, texts in values.items():
            for text in texts:
                # Continuation lines are indented.
                indented = text.replace('\n', '\n    ')
                lines.append(f'{name} = {indented}')
    return '\n'.join(lines) + '\n'


def read_checked(*paths: pathlib.Path,
                 others: Mapping[str, Mapping[str, list[str]]] =
                 types.MappingProxyType({})) -> cfg.ConfigOpts:
    """Return the plugin's own options in files.

    :param paths: the files; a later one overrides
    :param others: options that override those of the files
    :raises SetupError: an option does not exist, or is out of bounds
    """
    conf = cfg.ConfigOpts()
    config.register_opts(conf)
    try:
        # No set_override(): groups share their options among all objects of
        # oslo.config, so it would last for the whole process.
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as last:
            last.write(render(others))
            last.flush()
            conf([], project='tempest', default_config_files=[
                *map(str, paths), last.name], default_config_dirs=[])
            config.check(conf)
    except (exceptions.InvalidConfiguration, cfg.Error) as exc:
        # Tempest puts a sentence of its own before ours.
        text = str(exc).partition('Details: ')[2] or str(exc)
        raise setup.SetupError(' '.join(text.split())) from exc
    return conf


@dataclasses.dataclass(frozen=True)
class Profile:
    """The tests of a run, and their options.

    :ivar name: its name
    :ivar path: its file
    :ivar about: description, with the time that it takes
    :ivar regex: regular expression of the tests
    :ivar sizes: the flavors small, medium and large
    :ivar options: options of tempest.conf
    """

    name: str
    path: pathlib.Path
    about: str
    regex: str
    sizes: tuple[resources.FlavorSize, ...]
    options: Options


def profiles() -> list[str]:
    """Return the names of the profiles that come with the plugin."""
    return sorted(path.stem for path in PROFILES.glob('*' + SUFFIX))


def load_profile(wanted: str) -> Profile:
    """Return a profile.

    :param wanted: its name, or the path of a file
    :raises SetupError: there is none, or the file is no profile
    """
    path = pathlib.Path(wanted)
    if wanted in profiles():
        path = PROFILES / (wanted + SUFFIX)
    elif not path.is_file():
        raise setup.SetupError(
            f'there is no profile {wanted}: give the path of a '
            f'file, or one of {", ".join(profiles())}')
    options = load(path)
    own = {name: values[-1]
           for name, values in options.pop(GROUP, {}).items()}
    unknown = sorted(set(own) - set(PROFILE_OPTIONS))
    if unknown:
        raise setup.SetupError(
            f'unknown option {unknown[0]} in group [{GROUP}] of {path}; the '
            f'options of this group are: {", ".join(PROFILE_OPTIONS)}')
    regex = own.get('regex', REGEX)
    try:
        re.compile(regex)
    except re.error as exc:
        raise setup.SetupError(
            f'bad value of option regex in group [{GROUP}] of '
            f'{path}: {regex}: {exc}') from exc
    if REGEX not in regex:
        raise setup.SetupError(
            f'option regex in group [{GROUP}] of {path} is {regex}, and may '
            f'match tests of other plugins: put {REGEX} into it')
    sizes = resources.SIZES
    if 'flavors' in own:
        try:
            sizes = tuple(map(
                resources.parse_size, own['flavors'].split(',')))
        except ValueError as exc:
            raise setup.SetupError(
                f'bad value of option flavors in group [{GROUP}] of '
                f'{path}: {exc}') from exc
    if len(sizes) != len(resources.SIZE_NAMES):
        raise setup.SetupError(
            f'number of flavors in group [{GROUP}] of {path}: {len(sizes)}; '
            f'needed are {", ".join(resources.SIZE_NAMES)}')
    return Profile(path.stem, path, ' '.join(own.get('about', '').split()),
                   regex, sizes, options)


@dataclasses.dataclass(frozen=True)
class Target:
    """A cloud that is ready for the tests.

    :ivar user: the account
    :ivar facts: facts about the cloud
    :ivar image: image of the guests
    :ivar flavors: ids of the flavors small, medium and large
    :ivar network: connection of the guests
    :ivar storage: ``block`` or ``shared``; empty if it is not known
    """

    user: discovery.Account
    facts: discovery.CloudFacts
    image: resources.GuestImage
    flavors: Sequence[str]
    network: resources.GuestNetwork
    storage: str


def build(target: Target, files: workspace.Workspace,
          *others: Options) -> Options:
    """Return the options of a run.

    :param target: the cloud
    :param files: directories for logs and locks
    :param others: options of the profile and of the operator; they override,
        a later one an earlier one
    """
    merged = merge(
        convert(
            DEFAULT={'log_dir': files.logs, 'log_file': 'tempest.log'},
            oslo_concurrency={'lock_path': files.locks},
            service_available={**target.facts.services, 'horizon': False}),
        _account_options(target.user), _guest_options(target), *others,
        convert(live_migration_ha={
            'storage': target.storage or None,
            'canary_key_file': files.canary_key
            if files.canary_key.exists() else None}))
    # Profiles cannot know ids of flavors.
    matrix = merged.get('live_migration_ha_matrix', {})
    if 'flavors' in matrix:
        known = dict(zip(resources.SIZE_NAMES, target.flavors))
        matrix['flavors'] = [','.join(
            known.get(name.strip(), name.strip())
            for name in matrix['flavors'][-1].split(','))]
    return merged


def _account_options(user: discovery.Account) -> Options:
    # Tempest before 42 has one domain for both.
    same = user.user_domain == user.project_domain
    found = convert(
        auth={
            'use_dynamic_credentials': True,
            'create_isolated_networks': False,
            'admin_username': user.username,
            'admin_password': _escape(user.password),
            'admin_project_name': user.project,
            'admin_domain_name': user.user_domain,
            'admin_user_domain_name': None if same else user.user_domain,
            'admin_project_domain_name':
                None if same else user.project_domain,
        },
        identity={
            'uri_v3': user.auth_url,
            'ca_certificates_file': user.ca_file or None,
            'disable_ssl_certificate_validation': user.insecure or None,
        })
    if user.interface in ('', 'public'):
        return found
    return merge(found, convert(**{
        group: {name: user.interface} for group, name in ENDPOINTS.items()}))


def _escape(password: str) -> str:
    """Return a password such that oslo.config reads it unchanged.

    :raises SetupError: it has no such form
    """
    if '\n' in password or '\\$' in password:
        raise setup.SetupError(
            'the password has a line break, or a backslash before a dollar '
            'sign: tempest.conf cannot hold it')
    if password != password.strip() or password[:1] in ('"', "'"):
        # oslo.config removes spaces, and one pair of quotes.
        password = f'"{password}"'
    # A dollar sign begins the name of another option.
    return password.replace('$', '$$')


def _guest_options(target: Target) -> Options:
    facts, image, network = target.facts, target.image, target.network
    found = convert(
        identity={'region': facts.region or None},
        compute={
            'image_ref': image.resource.identifier,
            'image_ref_alt': image.resource.identifier,
            'flavor_ref': target.flavors[0],
            'flavor_ref_alt': target.flavors[1 % len(target.flavors)],
            'min_compute_nodes': len(facts.hosts),
            'min_microversion': facts.oldest,
            'max_microversion': facts.newest,
            'build_interval': 1,
            'fixed_network_name': network.name,
        },
        compute_feature_enabled={
            'live_migration': True,
            'live_migrate_back_and_forth': True,
            'block_migration_for_live_migration': target.storage == 'block',
            'volume_backed_live_migration':
                facts.volume_versions is not None or None,
        },
        network={
            'shared_physical_network': True,
            'project_networks_reachable': not network.floating,
            'public_network_id': network.external_id or None,
            'floating_network_name': network.external_name or None,
        },
        validation={
            'run_validation': True,
            'connect_method': 'floating' if network.floating else 'fixed',
            'network_for_ssh': None if network.floating else network.name,
            'image_ssh_user': image.user,
            'image_alt_ssh_user': image.user,
        })
    if facts.volume_versions is None:
        return found
    oldest, newest = facts.volume_versions
    return merge(found, convert(volume={
        'min_microversion': oldest, 'max_microversion': newest,
        'volume_size': image.size_gib, 'build_interval': 1}))
