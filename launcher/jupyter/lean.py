"""Runs a console script of Jupyter's as it stands, with the listening socket that ipjob hands to it (handed.py, beside this file), closed to other
users (closed.py) and bounded for strangers (strangers.py), without two things that take most of its start and of which nothing is seen, and with terminals that keep the job's environment:
`python lean.py SCRIPT ARGS...`.

  - jsonschema imports `rfc3987_syntax`, if it is there, for the format `iri`, which no schema of Jupyter's has; that builds a
    grammar, 1.1 of the 1.6 s of CPU that JupyterLab's imports take.
  - jupyterlab.labapp asks for JupyterLab's version when it is imported, and for that starts Node.js, if it is there, to read
    yarn's configuration (0.4 s); the version does not depend on it. Who asks for it later gets the real one.
  - Where its own output is no terminal, Jupyter takes it for a server that a spawner started with next to no environment, and
    lets the shells of its terminals be login shells, to set one up. A job has its environment, and /etc/profile would take from
    PATH what was activated for it. So it is told that its output is a terminal, where it asks for that; a `shell_command` of the
    user's own holds as ever, and shells read their rc files.
"""
import importlib
import os
import runpy
import sys

# Also where Python is told to look for nothing beside a script (PYTHONSAFEPATH).
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import closed
import handed
import strangers

del sys.path[0]

WITH_JUPYTERLAB = ("jupyter-lab", "jupyter-notebook")
# The modules that start terminals, in Notebook 6 and in all later ones.
TERMINALS = {"jupyter-notebook": ("notebook.terminal", "jupyter_server_terminals.app")}
TERMINALS_ELSEWHERE = ("jupyter_server_terminals.app",)


class Sys:
    """The module `sys` with a terminal in the place of the log."""

    class stdout:
        isatty = staticmethod(lambda: True)

    def __getattr__(self, name):
        return getattr(sys, name)


def keep_the_environment_of_terminals(front_end):
    for name in TERMINALS.get(front_end, TERMINALS_ELSEWHERE):
        try:
            terminals = importlib.import_module(name)
        except Exception:
            # Jupyter tells, where it needs it.
            continue
        if getattr(terminals, "sys", None) is sys:
            terminals.sys = Sys()
            return


def leave_yarn_alone():
    try:
        commands = importlib.import_module("jupyterlab.commands")
    except Exception:
        return
    ask = getattr(commands, "_yarn_config", None)
    if not callable(ask):
        return

    def answer(*args, **kwargs):
        labapp = sys.modules.get("jupyterlab.labapp")
        if labapp is not None and not hasattr(labapp, "app_version"):
            return {"yarn config": {}, "npm config": {}}
        return ask(*args, **kwargs)

    commands._yarn_config = answer


def main(script):
    # Modules are found where they are for the script itself, and not in the working directory.
    if sys.path and sys.path[0] == os.path.dirname(os.path.realpath(__file__)):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    handed.take()
    sys.modules["rfc3987_syntax"] = None
    front_end = os.path.basename(script)
    keep_the_environment_of_terminals(front_end)
    if front_end in WITH_JUPYTERLAB:
        leave_yarn_alone()
    closed.shorten_socket_names()
    closed.start_kernels_of_their_own()
    closed.keep_checkpoints_apart()
    for address, port in handed.handed:
        closed.stay(address, port)
    closed.hide()
    strangers.wait_for_descriptors()
    strangers.bound(os.environ.get("JUPYTER_TOKEN", ""))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    main(sys.argv[0])
