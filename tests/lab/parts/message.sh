# shellcheck shell=bash
# What the lab says, and the exit codes that go with it.

# EPOCHREALTIME without its decimal sign is the time in microseconds.
STARTED_AT=${EPOCHREALTIME/[.,]/}

# A line of the timeline, with the seconds since `lab` was started.
say() {
    local hundredths=$(((${EPOCHREALTIME/[.,]/} - STARTED_AT) / 10000))
    printf '[%3d.%02ds] %s\n' $((hundredths / 100)) $((hundredths % 100)) "$*"
}

fail() {
    printf 'lab: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'lab: %s (lab --help tells more)\n' "$*" >&2
    exit 2
}

# Exit code 75 (EX_TEMPFAIL of sysexits.h) lets tests tell "cannot be tried here" from "broken", and skip by name.
missing() {
    printf 'lab: missing: %s\n' "$*" >&2
    exit 75
}

# Exit code 69 (EX_UNAVAILABLE): it is to be had no more, whatever this host has.
gone() {
    printf 'lab: gone: %s\n' "$*" >&2
    exit 69
}

# need_value OPTION VALUE...: the value that must follow an option
need_value() {
    [ $# -ge 2 ] || usage_error "$1 needs a value"
}

# need_number OPTION VALUE LOWEST HIGHEST
need_number() {
    if ! [[ $2 =~ ^[0-9]{1,8}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
        usage_error "$1 takes a number from $3 to $4, not '$2'"
    fi
}
