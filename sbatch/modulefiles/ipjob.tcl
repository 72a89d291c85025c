#%Module1.0
# A modulefile for Environment Modules (Tcl): makes `ipjob` available and sets this site's defaults.
# Every option of ipjob has an IPJOB_* variable (see `ipjob --help`). A user's own export after `module load`, or
# the option itself, wins over what is set here. `make install` puts the right prefix in.
set prefix /usr/local

proc ModulesHelp {} {
    puts stderr "ipjob starts an ipyparallel cluster, with Jupyter beside it, inside a Slurm job."
    puts stderr "`ipjob template notebook` prints a job script to begin with, `ipjob doctor` says what is missing here."
}
module-whatis "ipyparallel clusters and Jupyter in Slurm jobs"

prepend-path PATH $prefix/bin

# The ports Jupyter may take. Where a firewall stands between login and compute nodes, name what it lets through.
setenv IPJOB_PORT_RANGE 8000-9999

# How long a start may take. Python on a busy parallel file system can need minutes to import on many nodes at once.
setenv IPJOB_START_TIMEOUT 600

# What opens in the browser: lab, notebook, server, or the path of a program.
setenv IPJOB_FRONTEND lab
