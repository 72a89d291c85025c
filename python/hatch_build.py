"""Puts the program into the wheel, which is then for its architecture: `make wheel` names both.

Without, `pip install ./python` makes a wheel of Python alone, for a program that is there already."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Program(BuildHookInterface):
    def initialize(self, version, build_data):
        program, architecture = os.environ.get("IPJOB_WHEEL_PROGRAM"), os.environ.get("IPJOB_WHEEL_ARCHITECTURE")
        if not program:
            return
        # A static program needs no C library at all, neither glibc nor musl; pip wants to be told of some.
        platforms = ["manylinux2014", "manylinux_2_17", "musllinux_1_1"]
        build_data["tag"] = "py3-none-" + ".".join(f"{platform}_{architecture}" for platform in platforms)
        build_data["pure_python"] = False
        build_data["shared_scripts"] = {program: "ipjob"}
