#%Module1.0
# A modulefile for Environment Modules (Tcl): makes `ipjob` available and sets this site's defaults.
# Every option of ipjob has an IPJOB_* variable (see `ipjob --help`). A user's own export after `module load`, or
# the option itself, overrides what is set here.
# The program is found from where this file is, PREFIX/share/modulefiles/ipjob/VERSION. If you move it elsewhere, set the prefix.
if {![regexp {^(.*)/share/modulefiles/} $ModulesCurrentModulefile -> prefix]} {
    set prefix /usr/local
}

proc ModulesHelp {} {
    puts stderr "ipjob starts an ipyparallel cluster, with Jupyter beside it, inside a Slurm job."
    puts stderr "`ipjob template notebook` prints a job script to start from; `ipjob doctor` says what is missing here."
}
module-whatis "ipyparallel clusters and Jupyter in Slurm jobs"

prepend-path PATH $prefix/bin

# The ports that Jupyter may use. If there is a firewall between login and compute nodes, name ports that it lets through.
setenv IPJOB_PORT_RANGE 8000-9999

# How long a start may take. On a busy parallel file system, Python imports on many nodes at once can take minutes.
setenv IPJOB_START_TIMEOUT 600

# What opens in the browser: lab, notebook, server, or the path of a program.
setenv IPJOB_FRONTEND lab
