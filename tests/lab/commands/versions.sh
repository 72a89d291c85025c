# shellcheck shell=bash
# lab versions: prints the versions of Slurm that need a root file system here.

command_versions() {
    [ $# = 0 ] || usage_error "versions takes nothing"
    root_versions
}
