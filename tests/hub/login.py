"""Logs in to a hub in headless Chromium, starts a server by its form, and runs a notebook there; usage: login.py URL USER PASSWORD SIZE
NOTEBOOK EXPECTED|... Prints what the page shows of the last cell's output.
"""
import json
import sys
import tempfile

from browser import Browser, run_cells


def main(url, user, password, size, notebook, expected):
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            browser.call("Page.enable")
            browser.call("Page.navigate", url=url)
            browser.wait("document.querySelector('#password_input') !== null")
            fill(browser, "#username_input", user)
            fill(browser, "#password_input", password)
            browser.value("document.querySelector('#login_submit').click()")
            browser.wait("document.querySelector('select[name=size]') !== null")
            fill(browser, "select[name=size]", size)
            browser.value("document.querySelector('#spawn_form [type=submit]').click()")
            # The page of the start leads to the server when it is there.
            browser.wait("document.querySelector('#jp-main-dock-panel') !== null")
            print(run_cells(browser, f"{url}/user/{user}/lab/tree/{notebook}", expected))
        finally:
            browser.close()


def fill(browser, selector, value):
    browser.value(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
