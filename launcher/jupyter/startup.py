# PYTHONSTARTUP of the job's Jupyter: each IPython there that a person types in, a kernel or one in a terminal, makes the job's profile the default of
# `ipp.Client()`. Its own profile is the user's: startup files, history and configuration were found before this runs.


def _ipjob():
    import os
    import sys

    application = sys.modules.get("IPython.core.application")
    if application and application.BaseIPythonApplication.initialized():
        running = application.BaseIPythonApplication.instance()
        if running.profile == "default":
            running.profile = os.environ.get("IPJOB_CLIENT_PROFILE", "default")
    return os.environ.get("IPJOB_PYTHONSTARTUP")


_ipjob = _ipjob()
if _ipjob and __import__("os").path.exists(_ipjob):
    # The user's own, with the names that it makes.
    exec(compile(open(_ipjob, "rb").read(), _ipjob, "exec"))
del _ipjob
