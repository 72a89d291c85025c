"""Runs a console script of Jupyter's without two things that take most of its start and of which nothing is seen:
`python lean.py SCRIPT ARGS...`.

  - jsonschema imports `rfc3987_syntax`, if it is there, for the format `iri`, which no schema of Jupyter's has; that builds a
    grammar, 1.1 of the 1.6 s of CPU that JupyterLab's imports take.
  - jupyterlab.labapp asks for JupyterLab's version when it is imported, and for that starts Node.js, if it is there, to read
    yarn's configuration (0.4 s); the version does not depend on it. Who asks for it later gets the real one.

The script is run as it stands.
"""
import importlib
import os
import runpy
import sys

WITH_JUPYTERLAB = ("jupyter-lab", "jupyter-notebook")


def leave_yarn_alone():
    try:
        commands = importlib.import_module("jupyterlab.commands")
    except ImportError:
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
    sys.modules["rfc3987_syntax"] = None
    if os.path.basename(script) in WITH_JUPYTERLAB:
        leave_yarn_alone()
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    main(sys.argv[0])
