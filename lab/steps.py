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

"""Run steps side by side as far as their needs allow."""

import concurrent.futures
import dataclasses
import graphlib
import time
import typing


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a plan.

    :ivar name: unique name, for the person who waits
    :ivar run: does it; an exception ends the whole plan
    :ivar needs: names of the steps that come first
    """

    name: str
    run: typing.Callable[[], object]
    needs: tuple[str, ...] = ()


class Progress(typing.Protocol):
    """Receives the beginning and the end of each step."""

    def began(self, name: str) -> None:
        """Note that a step began."""

    def ended(self, name: str, seconds: float) -> None:
        """Note that a step succeeded after so many seconds."""

    def failed(self, name: str, seconds: float) -> None:
        """Note that a step raised an exception after so many seconds."""


def run(steps: typing.Sequence[Step], progress: Progress,
        wait_on_failure: bool = True) -> None:
    """Run all steps, each as soon as those that it needs have ended.

    After a failure no other step begins. Running steps are waited for, so
    that nothing goes on behind the caller's back, unless the caller is about
    to end everything anyhow.

    :param steps: the steps, in any order
    :param progress: receives each beginning and end
    :param wait_on_failure: whether to wait for running steps
    :raises ValueError: if a step needs one that does not exist
    :raises graphlib.CycleError: if steps need each other
    :raises Exception: the first exception that a step raised
    """
    by_name = {step.name: step for step in steps}
    for step in steps:
        unknown = set(step.needs) - set(by_name)
        if unknown:
            raise ValueError(f'step {step.name!r} needs {sorted(unknown)}, '
                             f'and there is no such step')
    order = graphlib.TopologicalSorter(
        {step.name: step.needs for step in steps})
    order.prepare()
    pool = concurrent.futures.ThreadPoolExecutor(len(steps) or 1)
    running: dict[concurrent.futures.Future[None], str] = {}
    try:
        while order.is_active():
            for name in order.get_ready():
                running[pool.submit(_timed, by_name[name], progress)] = name
            done, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                future.result()
                order.done(name)
    except BaseException:
        pool.shutdown(wait=wait_on_failure, cancel_futures=True)
        raise
    pool.shutdown()


def _timed(step: Step, progress: Progress) -> None:
    began = time.monotonic()
    progress.began(step.name)
    try:
        step.run()
    except BaseException:
        progress.failed(step.name, time.monotonic() - began)
        raise
    progress.ended(step.name, time.monotonic() - began)
