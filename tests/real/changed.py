"""changed.py PROGRAM ARGS...: runs a program in a Python whose ipyparallel is another one than ipjob knows."""
import runpy
import sys

from ipyparallel.controller import heartmonitor

heartmonitor.HeartMonitor.handle_pong = lambda self, message: None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
