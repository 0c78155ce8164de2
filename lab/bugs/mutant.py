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

"""Put one mutant into nova's live migration path: no old bug, but a new one.

A mutant changes a single call in one function of nova: the call is missing,
raises an exception, returns a wrong value, or gets a wrong parameter. These
operators are those of Cotroneo et al., "How bad can a bug get?", ESEC/FSE
2019. ``bench.mutants`` chooses the mutants; a file beside the log of the bugs
names the one that is active. The syntax tree of its module is changed before
the module is executed, so decorators and callers see the mutant alone.

With :data:`TRACE` in place of a mutant, nothing is changed, and each call
that could be is logged when it is executed.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import dataclasses
import importlib
import importlib.abc
import importlib.machinery
import pathlib
import re
import sys
import types
import typing

from lab.bugs import loader

MISSING_CALL, EXCEPTION = 'missing-call', 'exception'
WRONG_RETURN, WRONG_PARAMETER = 'wrong-return', 'wrong-parameter'
OPERATORS = (MISSING_CALL, EXCEPTION, WRONG_RETURN, WRONG_PARAMETER)
#: In place of a mutant: log each call of the path.
TRACE = 'trace'
CONDUCTOR, COMPUTE = 'nova-conductor', 'nova-compute'
#: A mutant in a loop logs no more effects than this, in each process.
MOST_LOGGED = 20
#: Every call passes a context on. A wrong one is refused at once.
CONTEXTS = ('context', 'ctxt', 'admin_context')
#: Calls that write logs, translate, or make the exception to raise.
IGNORED = re.compile(r'(LOG|exception)\..+|_|time\.sleep')

_HELPER = '_lm_mutant'
_BUG = loader.Bug(__file__, number='', commit='', services=(), effect='',
                  test='', check='', stock=False)
#: Holds the mutant's name, or TRACE.
CHOSEN = _BUG.shared('chosen')

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True)
class Target:
    """A module of nova with functions of the live migration path.

    :ivar services: services that have to be restarted
    :ivar functions: matches the qualified names of the functions
    """

    services: tuple[str, ...]
    functions: str


TARGETS = {
    'nova.conductor.manager': Target((CONDUCTOR,), (
        r'ComputeTaskManager\.(live_migrate_instance|_live_migrate|'
        r'_build_live_migrate_task)')),
    'nova.conductor.tasks.live_migrate': Target((CONDUCTOR,), '.+'),
    'nova.compute.manager': Target((COMPUTE,), (
        # Not those that only run when nova-compute starts or stops.
        r'ComputeManager\.(?!_reset_live|_cleanup_live)(\w*live_migrat\w*|'
        r'_delete_allocation_after_move|_revert_allocation|'
        r'_rollback_volume_bdms|_set_migration_status)')),
    'nova.virt.libvirt.driver': Target((COMPUTE,), (
        r'LibvirtDriver\.(\w*live_migrat\w*|check_source_migrate_data_at_dest|'
        r'post_claim_migrate_data|_get_migration_flags)')),
    'nova.virt.libvirt.migration': Target((COMPUTE,), '.+'),
    'nova.network.neutron': Target((CONDUCTOR, COMPUTE), (
        r'API\.(setup_networks_on_host|migrate_instance_\w+|'
        r'bind_ports_to_host|activate_port_binding|delete_port_binding|'
        r'_delete_port_bindings|_\w+_migration_(port_)?profile)')),
}
#: The exception that a call raises that fails, by its name: the one that nova
#: gets if the service behind it does not answer.
ERRORS = (
    (r'rpcapi', 'oslo_messaging', 'MessagingTimeout'),
    (r'network_api|client\.\w*(port|binding)|neutron',
     'neutronclient.common.exceptions', 'ConnectionFailed'),
    (r'report_?client', 'nova.exception', 'PlacementAPIConnectFailure'),
    (r'volume_api', 'nova.exception', 'CinderConnectionFailed'),
    (r'driver\.|guest\.|_host\.|dom\.', 'libvirt', 'libvirtError'),
    (r'objects\.|\.save|\.create|\.refresh|get_by_', 'oslo_db.exception',
     'DBConnectionError'),
    (r'', 'nova.exception', 'NovaException'),
)


@dataclasses.dataclass(frozen=True)
class Site:
    """A call in a function of the live migration path.

    :ivar module: full name of the module
    :ivar function: qualified name of the function
    :ivar call: the called function as the source names it; followed by ``@2``
        if it is the second call of that name in the function
    :ivar used: whether the function uses the value that the call returns
    :ivar parameters: names of keyword arguments, and numbers of others
    :ivar node: the call
    """

    module: str
    function: str
    call: str
    used: bool
    parameters: tuple[str, ...]
    node: ast.Call = dataclasses.field(compare=False, repr=False)

    def __str__(self) -> str:
        return f'{self.module}:{self.function}:{self.call}'

    @property
    def mutants(self) -> list[str]:
        """Names of all mutants of the call."""
        operators = [EXCEPTION, WRONG_RETURN if self.used else MISSING_CALL,
                     *(f'{WRONG_PARAMETER}={name}'
                       for name in self.parameters)]
        return [f'{self}:{operator}' for operator in operators]


def operator_of(mutant: str) -> str:
    """Return the operator of a mutant, without the parameter.

    :param mutant: its name
    """
    return mutant.rpartition(':')[2].partition('=')[0]


def site_of(mutant: str) -> str:
    """Return the name of the call that a mutant changes.

    :param mutant: its name
    """
    return mutant.rpartition(':')[0]


def module_of(mutant: str) -> str:
    """Return the full name of the module that a mutant changes.

    :param mutant: its name
    """
    return mutant.partition(':')[0]


def sites(module: str, tree: ast.Module) -> list[Site]:
    """Return the calls of a module that mutants can change, in their order.

    :param module: full name, a key of :data:`TARGETS`
    :param tree: its syntax tree
    """
    wanted = re.compile(TARGETS[module].functions)
    found = []
    for function, node in _functions(tree.body):
        if not wanted.fullmatch(function):
            continue
        unused, ignored = _roles(node)
        seen: dict[str, int] = {}
        # ast.walk() goes by levels.
        for call in sorted((each for statement in node.body
                            for each in ast.walk(statement)
                            if isinstance(each, ast.Call)),
                           key=lambda each: (each.lineno, each.col_offset,
                                             -(each.end_col_offset or 0))):
            label = _label(call.func)
            if id(call) in ignored or IGNORED.fullmatch(label) or (
                    hasattr(builtins, label)):
                continue
            number = seen[label] = seen.get(label, 0) + 1
            found.append(Site(
                module, function,
                label if number == 1 else f'{label}@{number}',
                id(call) not in unused, tuple(_parameters(call)), call))
    return found


def _functions(body: collections.abc.Iterable[ast.stmt], prefix: str = ''
               ) -> collections.abc.Iterator[tuple[str, Function]]:
    """Yield functions and methods with their qualified names."""
    for node in body:
        if isinstance(node, Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f'{prefix}{node.name}.')


def _roles(function: Function) -> tuple[set[int], set[int]]:
    """Return ids of calls whose value is unused, and of calls to ignore.

    A context manager that is no context manager would only show that Python
    works; the same is true of an exception to raise that is none.
    """
    unused, ignored = set(), set()
    for node in ast.walk(function):
        if isinstance(node, ast.Expr):
            unused.add(id(node.value))
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            ignored |= {id(item.context_expr) for item in node.items}
        elif isinstance(node, ast.Raise):
            ignored |= {id(node.exc), id(node.cause)}
    return unused, ignored


def _label(node: ast.expr) -> str:
    """Return the name of a called function, without nested arguments."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f'{_label(node.value)}.{node.attr}'
        case ast.Call():
            return f'{_label(node.func)}()'
        case ast.Subscript():
            return f'{_label(node.value)}[]'
        case ast.Constant():
            return repr(node.value)
    return type(node).__name__


def _parameters(call: ast.Call) -> collections.abc.Iterator[str]:
    """Yield numbers and names of parameters that can be wrong."""
    for number, argument in enumerate(call.args, 1):
        if not isinstance(argument, ast.Starred) and not (
                isinstance(argument, ast.Name) and argument.id in CONTEXTS):
            yield str(number)
    for keyword in call.keywords:
        if keyword.arg and keyword.arg not in CONTEXTS:
            yield keyword.arg


def rewrite(module: str, tree: ast.Module, chosen: str) -> bool:
    """Change the syntax tree of a module; return whether there was anything.

    :param module: full name, a key of :data:`TARGETS`
    :param tree: its syntax tree
    :param chosen: name of a mutant, or TRACE
    """
    found = [site for site in sites(module, tree)
             if chosen == TRACE or chosen in site.mutants]
    for site in found:
        call = site.node
        if chosen == TRACE:
            # The function that is called, not the value: a call that raises
            # is executed as well.
            call.func = _helper('seen', ast.Constant(str(site)), call.func)
        else:
            _mutate(call, chosen)
    ast.fix_missing_locations(tree)
    return bool(found)


def _mutate(call: ast.Call, mutant: str) -> None:
    """Change one call in place."""
    operator, _, parameter = mutant.rpartition(':')[2].partition('=')
    if operator == WRONG_PARAMETER and parameter.isdecimal():
        index = int(parameter) - 1
        call.args[index] = _helper('wrong', call.args[index])
    elif operator == WRONG_PARAMETER:
        keyword = next(each for each in call.keywords
                       if each.arg == parameter)
        keyword.value = _helper('wrong', keyword.value)
    else:
        arguments = [ast.Call(call.func, call.args, call.keywords)] if (
            operator == WRONG_RETURN) else []
        other = _helper({WRONG_RETURN: 'wrong', MISSING_CALL: 'skip',
                         EXCEPTION: 'fail'}[operator], *arguments)
        call.func, call.args, call.keywords = (
            other.func, other.args, other.keywords)


def _helper(method: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(
        ast.Attribute(ast.Name(_HELPER, ast.Load()), method, ast.Load()),
        list(arguments), [])


def wrong_value(value: typing.Any) -> typing.Any:
    """Return a value that is wrong, of the same type where that is possible.

    :param value: the right one
    """
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return type(value)(not value)
    if value is None or isinstance(value, str):
        return f'{value or ""}-wrong'
    for kind in (list, tuple, set, frozenset, dict):
        if value and isinstance(value, kind):
            return kind()
    return None


def error_of(site: str) -> Exception:
    """Return the exception that a call raises in place of being executed.

    :param site: name of the call
    """
    call = site.rpartition(':')[2]
    module, name = next((module, name) for pattern, module, name in ERRORS
                        if re.search(pattern, call))
    kind = getattr(importlib.import_module(module), name)
    text = 'raised by a mutant'
    match name:
        case 'ConnectionFailed' | 'CinderConnectionFailed':
            made = kind(reason=text)
        case 'PlacementAPIConnectFailure' | 'DBConnectionError':
            made = kind()
        case 'libvirtError':
            made = loader.libvirt_error(text, 'VIR_ERR_INTERNAL_ERROR')
        case _:
            made = kind(text)
    return typing.cast(Exception, made)


class Helper:
    """Is called in nova, in place of the call that a mutant changes.

    :param chosen: name of the mutant, or TRACE
    """

    def __init__(self, chosen: str) -> None:
        self._chosen = chosen
        self._seen: set[str] = set()
        self._effects = 0

    def seen(self, site: str, function: typing.Any) -> typing.Any:
        """Log that a call is executed, once, and return its function."""
        if site not in self._seen:
            self._seen.add(site)
            _BUG.fired(site)
        return function

    def wrong(self, value: typing.Any) -> typing.Any:
        """Return a wrong value in place of a right one."""
        changed = wrong_value(value)
        self._log(f'{_show(value)} became {_show(changed)}')
        return changed

    def skip(self) -> None:
        """Do nothing in place of a call."""
        self._log('the call was left out')

    def fail(self) -> typing.NoReturn:
        """Raise an exception in place of a call."""
        error = error_of(site_of(self._chosen))
        self._log(f'the call raised {type(error).__name__}')
        raise error

    def _log(self, text: str) -> None:
        self._effects += 1
        if self._effects <= MOST_LOGGED:
            _BUG.fired(text)


def _show(value: typing.Any) -> str:
    # Structures may hold passwords of volumes.
    if isinstance(value, (bool, int, float, str)) or value is None:
        return repr(value)[:80]
    return type(value).__name__


class _Finder(importlib.abc.MetaPathFinder):
    """Executes the changed syntax tree of a module in place of its file.

    The file's byte code would be that of the unchanged module.
    """

    def __init__(self, chosen: str) -> None:
        self._chosen = chosen

    def find_spec(self, fullname: str,
                  path: collections.abc.Sequence[str] | None,
                  target: types.ModuleType | None = None
                  ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module to change; None for all others."""
        if fullname not in TARGETS or self._chosen != TRACE and (
                fullname != module_of(self._chosen)):
            return None
        spec = importlib.machinery.PathFinder.find_spec(
            fullname, path, target)
        if spec is None or spec.loader is None or spec.origin is None:
            return None
        source = pathlib.Path(spec.origin)

        def exec_module(module: types.ModuleType) -> None:
            tree = ast.parse(source.read_bytes(), str(source))
            if rewrite(fullname, tree, self._chosen):
                vars(module)[_HELPER] = Helper(self._chosen)
                _BUG.applied(self._chosen)
            code = compile(tree, str(source), 'exec', dont_inherit=True)
            exec(code, vars(module))  # noqa: S102

        # The loader stays: inspect and pkgutil ask it for more.
        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def start() -> None:
    """Change the modules that this process is going to import.

    :raises OSError: if the file with the mutant's name cannot be read
    """
    # Behind the finder of the loader, which asks all others: with a
    # correction, both change a module.
    place = sys.meta_path.index(importlib.machinery.PathFinder)
    sys.meta_path.insert(place, _Finder(CHOSEN.read_text().strip()))


# bench.mutants imports this module as well, in a process that has no bugs.
if CHOSEN.is_absolute():
    start()
