"""JupyterLab's list of clusters in headless Chromium, as a person uses it; usage: clusters.py URL NOTEBOOK SCREENSHOT. The job that runs is there, its
START cannot be pressed, `<>` puts a cell with a client above those of the notebook, %%px runs on all engines, and STOP is pressed.
"""
import sys
import tempfile

from browser import Browser, picture, run_cells

ITEM = "document.querySelector('.ipp-ClusterListingItem[data-cluster-id=\"job_local:\"]')"


def main(url, notebook, screenshot):
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            browser.call("Page.enable")
            browser.call("Page.navigate", url=url)
            browser.wait("document.querySelector('#jp-main-dock-panel, .jp-LauncherCard') !== null")
            browser.call("Page.navigate", url=url.split("/lab?")[0] + f"/lab/tree/{notebook}")
            browser.wait("document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content').length >= 2"
                         " && document.querySelector('[data-status=\"idle\"]') !== null")
            browser.wait("document.querySelector('.jp-SideBar [data-id=ipp-cluster-launcher]') !== null")
            browser.click(".jp-SideBar [data-id=ipp-cluster-launcher]")
            browser.wait(f"{ITEM}.innerText.includes('State: running') && {ITEM}.innerText.includes('Number of engines: 2')")
            hidden = browser.value(f"getComputedStyle({ITEM}.querySelector('.ipp-ClusterListingItem-start')).display")
            assert hidden == "none", hidden
            browser.click(".ipp-ClusterListingItem[data-cluster-id='job_local:'] .ipp-ClusterListingItem-code")
            browser.wait("document.querySelector('.jp-Notebook .jp-CodeCell .cm-content').innerText.includes('Cluster.from_file')")
            print(run_cells(browser, None, "[stdout:0] process|[stdout:1] process"))
            # The cell that waits until the client hears the engines is none that a person would write.
            browser.click(".jp-CodeCell[data-windowed-list-index='1'] .jp-InputCollapser")
            browser.wait("document.querySelector('.jp-CodeCell .jp-Placeholder') !== null")
            picture(browser, screenshot)
            browser.click(".ipp-ClusterListingItem[data-cluster-id='job_local:'] .ipp-ClusterListingItem-stop")
            # It has been sent when it has had its effect, and not before.
            browser.value("new Promise(done => { const look = () => fetch('/').then(() => setTimeout(look, 50), () => done(true)); look(); })")
        finally:
            browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
