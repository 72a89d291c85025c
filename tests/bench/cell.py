"""A notebook's kernel that starts a cluster in a cell, uses all of its engines in the next, and ends it in the last; prints the seconds
that these took, as JSON. The cells are the three arguments; the second one must show the words `it works`."""
import json
import sys
import time

from jupyter_client.manager import start_new_kernel

# Far beyond what a busy machine needs, and beyond what the ways give up after.
PATIENCE = 150


def main(start, use, end):
    manager, client = start_new_kernel()
    shown = []

    def run(cell):
        shown.clear()
        reply = client.execute_interactive(cell, timeout=PATIENCE, output_hook=lambda message: shown.append(str(message["content"])))
        if reply["content"]["status"] != "ok":
            sys.exit(f"{cell}\n{reply['content']}\n{shown}")

    begin = time.monotonic()
    run(start)
    run(use)
    usable = time.monotonic() - begin
    if "it works" not in "".join(shown):
        sys.exit(f"{use}\n{shown}")
    begin = time.monotonic()
    run(end)
    print(json.dumps({"usable": usable, "ended": time.monotonic() - begin}))
    client.stop_channels()
    manager.shutdown_kernel()


if __name__ == "__main__":
    main(*sys.argv[1:])
