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

"""Pages in headless Chromium."""

import base64
import json
import logging
import pathlib
import shutil
import time
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome import service

DRAWN_S = 60.0
ARGUMENTS = ('--headless=new', '--no-sandbox', '--disable-gpu',
             '--disable-dev-shm-usage', '--hide-scrollbars')
HEIGHT = 900
# They log every request to the browser with its whole answer.
VERBOSE = ('selenium', 'urllib3')

# Every visible piece of text, with its rectangles.
TEXTS = """
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const parent = node.parentElement;
  if (!node.textContent.trim() ||
      parent.closest('script, style, noscript, select')) continue;
  const style = getComputedStyle(parent);
  if (style.visibility !== 'visible' || style.opacity === '0') continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = parent.closest('.scroll');
  const edge = box ? box.getBoundingClientRect() : null;
  for (const rect of range.getClientRects()) {
    if (rect.width < 1 || rect.height < 1) continue;
    // Text that is scrolled out of its box is not visible.
    if (edge && (rect.right > edge.right || rect.bottom > edge.bottom))
      continue;
    found.push([node.textContent.trim(), rect.left, rect.top, rect.right,
                rect.bottom]);
  }
}
return found;
"""
# Size in pixels of each drawn trace of each plot.
TRACES = """
return Array.from(document.querySelectorAll('.js-plotly-plot')).map(
  (plot) => ({
    key: plot.dataset.key, expected: plot.data.length,
    area: plot._fullLayout._size.h,
    sizes: Array.from(plot.querySelectorAll(
      '.scatterlayer > .trace, .barlayer > .trace, .boxlayer > .trace, ' +
      '.heatmaplayer > .hm')).map((trace) => {
        const rect = trace.getBoundingClientRect();
        return Math.max(rect.width, rect.height);
      }),
  }));
"""
UNDRAWN = """
return Array.from(document.querySelectorAll('.canvas')).filter(
  (canvas) => !canvas.dataset.drawn).length;
"""


class Browser:
    """Chromium; a context manager.

    :raises FileNotFoundError: there is no Chromium, or no driver for it
    """

    def __init__(self) -> None:
        for name in VERBOSE:
            logging.getLogger(name).setLevel(logging.WARNING)
        options = webdriver.ChromeOptions()
        for argument in ARGUMENTS:
            options.add_argument(argument)
        options.binary_location = _program('chromium', 'chromium')
        options.set_capability(
            'goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
        self.driver = webdriver.Chrome(options, service.Service(
            _program('chromedriver', 'chromium-driver')))

    def __enter__(self) -> 'Browser':
        return self

    def __exit__(self, *_exc: object) -> None:
        self.driver.quit()

    def open(self, path: pathlib.Path, width: int) -> None:
        """Open a page, and wait until all plots are drawn.

        :param path: of the page
        :param width: of the screen, in pixels; a phone if it is small
        """
        # The logs still hold entries of the page before.
        self.console()
        self.requests()
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
            'width': width, 'height': HEIGHT, 'deviceScaleFactor': 1,
            'mobile': width < 600})
        self.driver.get(path.as_uri())
        self.wait()

    def wait(self) -> None:
        """Wait until all plots are drawn."""
        end_s = time.monotonic() + DRAWN_S
        while self.run(UNDRAWN):
            if time.monotonic() > end_s:
                raise AssertionError(
                    f'{self.run(UNDRAWN)} plots were not drawn within '
                    f'{DRAWN_S:g} s: {self.console()}')
            time.sleep(0.1)

    def run(self, script: str) -> Any:
        """Run a script in the page, and return its result."""
        return self.driver.execute_script(script)

    def console(self) -> list[str]:
        """Return the messages of the console since the last call."""
        return [entry['message'] for entry in self.driver.get_log('browser')]

    def requests(self) -> list[str]:
        """Return the addresses that were requested since the last call."""
        events = [json.loads(entry['message'])['message']
                  for entry in self.driver.get_log('performance')]
        return [event['params']['request']['url'] for event in events
                if event['method'] == 'Network.requestWillBeSent']

    def picture(self, path: pathlib.Path) -> None:
        """Write a picture of the whole page, as PNG."""
        size = self.run('const all = document.documentElement; '
                        'return [all.clientWidth, all.scrollHeight];')
        found = self.driver.execute_cdp_cmd('Page.captureScreenshot', {
            'captureBeyondViewport': True, 'clip': {
                'x': 0, 'y': 0, 'width': size[0], 'height': size[1],
                'scale': 1}})
        path.write_bytes(base64.b64decode(found['data']))

    def printed(self) -> bytes:
        """Return the printed page as PDF."""
        found = self.driver.execute_cdp_cmd('Page.printToPDF', {
            'printBackground': True, 'paperWidth': 8.27,
            'paperHeight': 11.69})
        return base64.b64decode(found['data'])


def overlaps(texts: list[tuple[str, float, float, float, float]],
             slack: float = 2.5) -> list[str]:
    """Return a message for each two texts that overlap.

    :param texts: each with its left, upper, right and lower edge, in pixels
    :param slack: accepted overlap in pixels: lines of one text overlap
    """
    found = []
    ordered = sorted(texts, key=lambda text: text[2])
    for number, (one, left, _top, right, bottom) in enumerate(ordered):
        for other, left2, top2, right2, bottom2 in ordered[number + 1:]:
            if top2 >= bottom:
                break
            if (min(bottom, bottom2) - top2 > slack and
                    min(right, right2) - max(left, left2) > slack):
                found.append(f'{one[:60]!r} and {other[:60]!r} at '
                             f'{left2:.0f}, {top2:.0f}')
    return found


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(
            f'{name} is not installed (Debian: {package})')
    return path
