"""signals.py PROFILE: interrupts engines and sends them signals as a person does, and says what comes of it, one JSON object."""
import json
import os
import signal
import sys
import tempfile
import threading

import ipyparallel as ipp
from IPython.core.interactiveshell import InteractiveShell

PATIENCE_S = 60
rc = ipp.Client(profile=sys.argv[1], timeout=PATIENCE_S)
rc.wait_for_engines(2, timeout=PATIENCE_S)
directory = tempfile.mkdtemp()


def endless(path):
    import threading

    open(path, "w").close()
    while True:
        threading.Event().wait(1)


def name(error):
    """Of a failure on an engine, or on several."""
    error = error.elist[0] if hasattr(error, "elist") else error
    return getattr(error, "ename", None) or (error[0] if isinstance(error, tuple) else type(error).__name__)


def failure(call, *args, **options):
    try:
        call(*args, **options)
    except Exception as error:
        return name(error)


def started(path):
    while not os.path.exists(path):
        threading.Event().wait(0.01)


def interrupt(number, **options):
    """What an endless task ends with, and one that waits behind it and is called off."""
    path = os.path.join(directory, f"task of {number}")
    task = rc[0].apply_async(endless, path)
    waits = rc[0].apply_async(int)
    started(path)
    # 8.8 answers only when the engine is free, and may be too late.
    rc.abort(waits, block=False)
    rc.send_signal(number, targets=0, block=True)
    called_off = failure(waits.get, PATIENCE_S) in (None, "TaskAborted")
    return [failure(task.get, PATIENCE_S), called_off]


def px():
    """What a cell with %%px ends with that is stopped."""
    shell = InteractiveShell.instance()
    view = rc[:]
    view.block = True
    view.activate("")
    paths = [os.path.join(directory, f"cell of {engine}") for engine in rc.ids]
    rc[:].push({"endless": endless}, block=True)
    rc[:].scatter("paths", paths, block=True)
    main = threading.main_thread().ident

    def stop():
        for path in paths:
            started(path)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=stop).start()
    shell.run_cell("%px endless(paths[0])")
    return rc[:].apply_sync(int)


found = {
    "by_name": interrupt("SIGINT"),
    "by_number": interrupt(int(signal.SIGINT)),
    "px": px(),
    "no_signal": failure(rc.send_signal, "SIGNOTHING", targets=0, block=True),
    "too_high": failure(rc.send_signal, 4000, targets=0, block=True) is not None,
}
pids = rc[:].apply_sync(os.getpid)
rc.send_signal("SIGSTOP", targets=1, block=True)
rc.send_signal("SIGKILL", targets=1, block=True)
while 1 in rc.ids:
    threading.Event().wait(0.01)
found["left"] = rc.ids
print(json.dumps(found))
