"""Puts the program into the wheel, which is then for its system and architecture: `make wheel` names it and its Rust target.

Without, `pip install ./python` makes a wheel of Python alone, for a program that is there already."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Program(BuildHookInterface):
    def initialize(self, version, build_data):
        program, target = os.environ.get("IPJOB_WHEEL_PROGRAM"), os.environ.get("IPJOB_WHEEL_TARGET", "")
        if not program:
            return
        architecture = target.partition("-")[0]
        if target.endswith("-apple-darwin"):
            platforms, architecture = ["macosx_11_0"], architecture.replace("aarch64", "arm64")
        else:
            # A static program needs no C library at all, neither glibc nor musl; pip wants to be told of some.
            platforms = ["manylinux2014", "manylinux_2_17", "musllinux_1_1"]
        build_data["tag"] = "py3-none-" + ".".join(f"{platform}_{architecture}" for platform in platforms)
        build_data["pure_python"] = False
        build_data["shared_scripts"] = {program: "ipjob"}
