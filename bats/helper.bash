# helper.bash: what our own bats files load. Finds the built programs and the assertions; the rest is the
# library that our users have too.
# shellcheck shell=bash

# All of this is read before every test: a fork here costs more than the rest of it.
tree=${BASH_SOURCE[0]%/bats/*}

# A relative SHMAIL_BUILD, as make gives it, is relative to the tree.
SHMAIL_BUILD=${SHMAIL_BUILD:-build}
[[ $SHMAIL_BUILD == /* ]] || SHMAIL_BUILD=$tree/$SHMAIL_BUILD
PATH=$SHMAIL_BUILD:$PATH
export SHMAIL_BUILD PATH

for library in bats-support bats-assert; do
    if [ ! -r "/usr/lib/bats/$library/load.bash" ]; then
        echo "/usr/lib/bats/$library is missing: please install the package $library" >&2
        exit 1
    fi
    # What load.bash does, but that forks for each.
    for part in "/usr/lib/bats/$library"/src/*.bash; do
        # shellcheck disable=SC1090
        . "$part"
    done
done

# shellcheck source=contrib/bats/shmail.bash
. "$tree/contrib/bats/shmail.bash"
unset tree library part

# Looks until the command succeeds, for 10 seconds at most.
eventually() {
    local deadline=$((SECONDS + 10))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

hang_up() { # descriptor...
    local descriptor
    for descriptor; do
        exec {descriptor}>&-
    done
}

# Every teardown calls remove_segment: until then all that the servers of a test have logged is there, and tests/run
# looks for secrets in it.
body=$(declare -f remove_segment)
eval "${body/remove_segment/remove_segment_alone}"
unset body
remove_segment() {
    if [ -d "${SHMAIL_LOGS-}" ]; then
        find "$BATS_FILE_TMPDIR" "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}" -maxdepth 1 -type f -name '*log*' \
            -exec cat {} + >>"$SHMAIL_LOGS/$SHMAIL_NAME-${BATS_TEST_NUMBER:-0}"
    fi
    remove_segment_alone
}

# Processes that the server has made and not collected, without the maker of the others.
children() {
    local child
    for child in $(<"/proc/$SHMAIL_PID/task/$SHMAIL_PID/children"); do
        is_named "$child" "shmaild: maker" || printf '%s ' "$child"
    done
}

# Those of that name.
named() { # comm
    local child
    for child in $(children); do
        ! is_named "$child" "$1" || echo "$child"
    done
}

has_named() { # comm, how many
    [ "$(named "$1" | wc -l)" -eq "$2" ]
}

# The process that forks those which serve, once it is there.
maker() {
    eventually has_maker && echo "$found"
}

has_maker() {
    local child
    for child in $(<"/proc/$SHMAIL_PID/task/$SHMAIL_PID/children"); do
        ! is_named "$child" "shmaild: maker" || { found=$child && return; }
    done
    return 1
}

is_named() { # pid, comm
    local name=
    read -r name 2>/dev/null <"/proc/$1/comm"
    [ "$name" = "$2" ]
}

has_children() { # how many
    [ "$(children | wc -w)" -eq "$1" ]
}

# What a program logs where run has caught its output counts as well: lines that begin with the program's name.
eval "$(declare -f run | sed '1s/run/run_alone/')"
run() {
    local result=0
    run_alone "$@" || result=$?
    if [ -d "${SHMAIL_LOGS-}" ] && [[ ${output-}${stderr-} == *shmail*:* ]]; then
        printf '%s\n' "${output-}" "${stderr-}" | grep -aE '^(<[0-7]>)?shmail(d|ctl)?: ' \
            >>"$SHMAIL_LOGS/$SHMAIL_NAME-run" || :
    fi
    [ "$result" -eq 0 ] || printf '%s\n' "${output-}" "${stderr-}" # of a status that was not expected, why
    return "$result"
}
