"""ipjob from Python: `%load_ext ipjob` in a notebook, and `ipp.Cluster(engines="ipjob")`.

Everything here calls the program `ipjob` and reads the record that it writes; what is decided is decided there.
Importing it imports nothing else, so that a notebook that loads it is not slower for it.
"""

__version__ = "0.1.0"


def load_ipython_extension(shell):
    """`%load_ext ipjob`"""
    from .magic import load

    load(shell)
