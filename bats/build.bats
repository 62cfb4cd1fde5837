# build.bats: what the programs are made of: the same bytes anywhere, hardened, and without a library if asked for.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper

setup_file() {
    unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
    export BATS_TEST_TIMEOUT=280 # a compiler is slow where the machine is busy
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

programs() {
    local program
    for program in shmail shmail-bench shmaild shmailctl; do
        echo "$SHMAIL_BUILD/$program"
    done
}

# The tree without what was built, at another place.
copy_tree() { # to
    mkdir -p "$1"
    tar -C "$BATS_TEST_DIRNAME/.." --exclude=./build --exclude=./.git -cf - . | tar -C "$1" -xf -
}

@test "the same tree gives the same programs, wherever and whenever it is built" {
    local copy=$BATS_TEST_TMPDIR/a/longer/place program
    [ "$SHMAIL_BUILD" = "$(cd "$BATS_TEST_DIRNAME/.." && pwd)/build" ] || skip "this is no plain build in its tree"
    copy_tree "$copy"
    find "$copy" -name '*.c' -exec touch -d 1999-12-31 {} +
    run -0 make -C "$copy" -j "$(nproc)" all
    if ! sed "s|$copy|.|g" "$copy/build/flags" | cmp -s - <(sed "s|${SHMAIL_BUILD%/build}|.|g" "$SHMAIL_BUILD/flags"); then
        skip "build/ was made with other flags than a plain make takes"
    fi
    for program in $(programs); do
        cmp "$program" "$copy/build/${program##*/}"
    done
}

@test "the programs are hardened as far as compiler and linker can" {
    local program
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers"
    [[ $SHMAIL_BUILD != *coverage ]] || skip "built to count, and not to be used"
    for program in $(programs); do
        readelf -W -h -d -l -n "$program" >facts
        readelf -W --dyn-syms "$program" >symbols
        echo "# $program" && grep -q 'Type: *DYN' facts                                 # at any address
        grep -q 'FLAGS_1.*NOW.*PIE' facts                                               # all bound at the start,
        grep -q 'FLAGS.*BIND_NOW' facts
        grep -q GNU_RELRO facts                                                         # and then read-only
        grep -qE 'GNU_STACK.* RW +0x' facts                                             # no code on the stack
        run ! grep -E 'TEXTREL|RPATH|RUNPATH| RWE ' facts
        grep -q __stack_chk_fail symbols
        grep -qE '__[a-z]+_chk@' symbols                                                # _FORTIFY_SOURCE
        run grep -oE 'Shared library: \[[^]]*' facts
        run ! grep -vE '\[lib(c|crypt)\.so' <<<"$output"
    done
    # The programs themselves lack this note where the C library's start files do, as Debian's.
    [ "$(uname -m)" = x86_64 ] || return 0
    find "$SHMAIL_BUILD"/obj/src "$SHMAIL_BUILD"/obj/client -name '*.o' >objects
    [ "$(wc -l <objects)" -gt 50 ]
    while read -r program; do
        readelf -n "$program" 2>&1 | grep -q 'IBT, SHSTK'
    done <objects
}

# Each fork copies what stands there, and each end walks over all of it. A third is a stack, hardly used.
expect_few_variables() {
    local size
    size=$(readelf -W -l "$SHMAIL_BUILD/shmaild" |
        sed -n 's/^ *LOAD .* 0x[0-9a-f]* \(0x[0-9a-f]*\) RW .*/\1/p' | tail -n 1)
    [ "$((size))" -gt 0 ] # it was found
    [ "$((size))" -lt $((768 << 10)) ]
}

# Whatever a process of too deep a call overwrites, before it meets what is not to be written.
expect_little_below_stack() {
    local variables settled stack
    variables=$(readelf -W -l "$SHMAIL_BUILD/shmaild" |
        sed -n 's/^ *LOAD *[^ ]* *\(0x[0-9a-f]*\) .* RW .*/\1/p' | tail -n 1)
    settled=$(readelf -W -l "$SHMAIL_BUILD/shmaild" |
        sed -n 's/^ *GNU_RELRO *[^ ]* *\(0x[0-9a-f]*\) [^ ]* [^ ]* *\(0x[0-9a-f]*\) .*/\1 + \2/p')
    stack=0x$(nm "$SHMAIL_BUILD/shmaild" | sed -n 's/^\([0-9a-f]*\) [dD] own\(\.lto_priv.*\)\?$/\1/p')
    [ "$((variables > settled ? stack - (variables) : stack - (settled)))" -le 8192 ]
    [ "$((stack))" -gt "$((settled))" ]
}

@test "the server's variables are few, and hardly any lie below the stack of its processes" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers"
    [[ $SHMAIL_BUILD != *coverage ]] || skip "built to count, and not to be used"
    expect_few_variables
    expect_little_below_stack
}

@test "a static build needs no library, knows localhost, and serves in the sandbox" {
    local copy=$BATS_TEST_TMPDIR/tree tests=$SHMAIL_BUILD/tests cookie maker
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers"
    copy_tree "$copy"
    run -0 make -C "$copy" -j "$(nproc)" STATIC=1 CFLAGS=-O0 all
    refute_output --partial warning
    SHMAIL_BUILD=$copy/build/static
    expect_few_variables
    expect_little_below_stack
    run -0 readelf -W -d "$SHMAIL_BUILD/shmaild"
    refute_output --partial NEEDED
    SHMAIL_BUILD=$copy/build/static start_server -l inet:localhost:0 --crypt-cost 1 -u nobody
    cookie=$(SHMAIL_PASSWORD=secret SHMAIL_USER=alice "$SHMAIL_BUILD/shmail" register)
    SHMAIL_COOKIE=$cookie SHMAIL_USER=alice run -0 "$SHMAIL_BUILD/shmail" localhost "$PORT" count
    assert_output 0
    maker=$(maker)
    if ! "$tests/test_huge" "pages become one" | grep SKIP; then
        grep 'r-xp .*memfd:shmaild' "/proc/$maker/maps"
        run ! grep 'r--p .*shmaild' "/proc/$maker/maps" # one mapping has the constants, too
    fi
    run -1 grep -i 'error\|no filter' "$BATS_FILE_TMPDIR/shmaild.log"
    stop_server
    run -69 "$SHMAIL_BUILD/shmaild" -e www.example.org 1
    assert_output --partial "numeric addresses and localhost only"
}
