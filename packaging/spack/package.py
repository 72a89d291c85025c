"""Spack 1.0 or later; in a repository it is packages/ipjob/package.py, with a link dist to the archives next to it."""

import os
import platform

from spack_repo.builtin.build_systems.generic import Package

from spack.package import *

_archives = {
    "x86_64-linux": "0000000000000000000000000000000000000000000000000000000000000000",
    "aarch64-linux": "0000000000000000000000000000000000000000000000000000000000000000",
}


class Ipjob(Package):
    """ipyparallel clusters with Jupyter in Slurm jobs: one static program that starts them, watches over them, and takes them down
    in order."""

    license("MIT OR Apache-2.0")

    _name = f"{platform.machine()}-linux"
    if _name in _archives:
        version(
            "0.1.0",
            sha256=_archives[_name],
            url=f"file://{os.path.dirname(os.path.realpath(__file__))}/dist/ipjob-0.1.0-{_name}.tar.gz",
        )

    sanity_check_is_file = ["bin/ipjob"]

    def install(self, spec, prefix):
        install_tree(".", prefix)

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_version(self):
        Executable(self.prefix.bin.ipjob)("--version")
