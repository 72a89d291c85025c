"""Opens a notebook in headless Chromium and runs its cells as a person would; usage: browser.py URL NOTEBOOK EXPECTED|... SCREENSHOT.

URL is the page that connect printed; NOTEBOOK is to be there already. Prints what the page shows of the last cell's output. Speaks
Chromium's own protocol (CDP) with what JupyterLab brings along, so that no further package is needed.
"""
import base64
import itertools
import json
import shutil
import subprocess
import sys
import tempfile

import websocket

# Far beyond what a busy machine needs.
PATIENCE = 110


class Refused(SystemExit):
    """What the browser did not do, and why; it ends the program with these words."""


class Browser:
    def __init__(self, profile):
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--window-size=1200,760", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        mark = "DevTools listening on "
        place = next(line.split(mark)[1].strip() for line in self.process.stderr if mark in line)
        self.socket = websocket.create_connection(place, suppress_origin=True, timeout=PATIENCE + 20)
        self.numbers = itertools.count(1)
        self.session = None
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]

    def close(self):
        self.socket.close()
        self.process.terminate()
        # Until none of its processes has its stderr: they write into the profile until they end.
        self.process.stderr.read()
        self.process.wait()

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise Refused(f"{method}: {answer['error']}")
                return answer["result"]

    def value(self, code):
        """What JavaScript code evaluates to; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit(f"{code}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition):
        """Waits until a condition of the page is true; the page looks itself."""
        code = """new Promise((done, fail) => {
            const end = Date.now() + %d;
            const look = () => {
                let found = false;
                // Whether it is to start the kernel that the notebook names, for instance.
                document.querySelector('.jp-Dialog .jp-mod-accept')?.click();
                try { found = %s; } catch (error) { /* the page is not that far */ }
                if (found) done(found);
                else if (Date.now() > end) fail(new Error("it did not come: " + document.body.innerText.slice(-2000)));
                else setTimeout(look, 50);
            };
            look();
        })""" % (PATIENCE * 1000, condition)
        while True:
            try:
                return self.value(code)
            except Refused as refused:
                # The page led to another one meanwhile, which is to look then.
                if "navigated" not in str(refused):
                    raise

    def press(self, key, code, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if kind == "keyDown" and key == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      nativeVirtualKeyCode=code, modifiers=modifiers, **text)

    def click(self, selector):
        place = self.value(f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                           " return [box.x + box.width / 2, box.y + 8]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)


def picture(browser, file):
    """What the page shows, without the questions that JupyterLab asks in a corner."""
    browser.value("document.querySelector('.Toastify')?.remove()")
    with open(file, "wb") as png:
        png.write(base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"]))


def run_cells(browser, url, expected):
    """Opens the notebook at that address, if there is one, and runs its cells; what the last one then shows, once all of `expected` is there."""
    if url:
        browser.call("Page.navigate", url=url)
    browser.wait("location.pathname.includes('/lab/tree/')"
                 " && document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content').length >= 2")
    # The kernel is there and idle.
    browser.wait("document.querySelector('.jp-Toolbar-kernelName').innerText.includes('Python')"
                 " && document.querySelector('[data-status=\"idle\"]') !== null"
                 " && document.querySelector('.jp-Dialog') === null")
    browser.click(".jp-Notebook .jp-CodeCell .cm-content")
    cells = browser.value("document.querySelectorAll('.jp-Notebook .jp-CodeCell').length")
    for number in range(1, cells + 1):
        browser.press("Enter", 13, modifiers=8)  # Shift+Enter
        browser.wait(f"document.querySelectorAll('.jp-Notebook .jp-CodeCell')[{number - 1}]"
                     ".querySelector('.jp-InputPrompt').textContent.includes('[" + str(number) + "]')")
    last = f"document.querySelectorAll('.jp-Notebook .jp-CodeCell')[{cells - 1}].querySelector('.jp-Cell-outputArea')"
    for text in expected.split("|"):
        browser.wait(f"{last}.innerText.includes({json.dumps(text)})")
    return browser.value(f"{last}.innerText")


def main(url, notebook, expected, screenshot):
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            browser.call("Page.enable")
            # The page that was printed, which logs in by its token; then the notebook, with the cookie alone.
            browser.call("Page.navigate", url=url)
            browser.wait("document.querySelector('#jp-main-dock-panel, .jp-LauncherCard') !== null")
            shown = run_cells(browser, url.split("/lab?")[0] + f"/lab/tree/{notebook}", expected)
            picture(browser, screenshot)
            print(shown)
        finally:
            browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
