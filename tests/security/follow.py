"""follow.py URL LINK: opens Jupyter's page in headless Chromium, then follows a link from it to somebody else's server. Prints a line of JSON: how many
cookies the browser has of Jupyter's, and what the page says of the server's list of kernels."""
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "connect"))
from browser import Browser


def until(browser, condition):
    """Waits for a condition that another page than this one may fulfil."""
    met = False
    while not met:
        try:
            met = browser.value(condition)
        except SystemExit:
            # The page went while it was asked.
            continue


with tempfile.TemporaryDirectory(dir=os.environ["HOME"], ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    try:
        browser.call("Page.enable")
        browser.call("Page.navigate", url=sys.argv[1])
        # With the cookie alone.
        until(browser, "document.readyState === 'complete' && location.search === '' && location.port !== ''")
        status = browser.value("fetch(new URL('api/kernels', location.href)).then(answer => answer.status)")
        cookies = browser.call("Network.getCookies")["cookies"]
        browser.value(f"""(() => {{
            const link = document.createElement('a');
            link.href = {json.dumps(sys.argv[2])};
            document.body.append(link);
            setTimeout(() => link.click());
        }})()""")
        until(browser, "document.querySelector('#his') !== null")
        print(json.dumps({"cookies": sum(one["name"].startswith("username-") for one in cookies), "status": status}))
    finally:
        browser.socket.close()
        browser.process.terminate()
        browser.process.wait()
