#!/usr/bin/env bats
# readme.bats: types what the README shows, from top to bottom as in one terminal, and compares what is printed.
#
# Behind "```console test", "$ " starts a command, and shmail's prompts stand before what is typed into it;
# the rest is output. Behind "```sh file NAME" stands a file.

load helper

setup_file() {
    start_server --crypt-cost 1
}

setup() {
    readme=$BATS_TEST_DIRNAME/../README.md
    cd "$BATS_TEST_TMPDIR" || exit
    ln -s "$SHMAIL_BUILD" build
    ln -s "$BATS_TEST_DIRNAME/../contrib" contrib
    mkdir example
}

# Cookies and times differ; the server and the post office are ours.
same() {
    sed -E "s/[A-Za-z0-9_-]{43}/COOKIE/; s/\b[0-9]{10}\b/TIME/; s/127\.0\.0\.1 8887/$HOST $PORT/
            s/\bclub\b/$SHMAIL_NAME-club/"
}

@test "the examples print what the README shows" {
    same <"$readme" | awk '
        function run() {
            if (command) print command (typed ? " <<\\TYPED\n" typed "TYPED" : "")
            command = typed = ""
        }
        /^```/ { run(); kind = $2; file = $3; next }
        kind == "file" { print >file }
        kind != "test" { next }
        sub(/^\$ /, "") { run(); command = $0; next }
        sub(/^(shmail>|Header:|Text:) /, "") { typed = typed $0 "\n"; next }
        { print >"expected" }' >script
    [ "$(grep -c . script)" -gt 20 ]
    (
        PATH=${PATH//"$BATS_LIBEXEC:"/} TMPDIR=$PWD
        unset "${!BATS_@}" SHMAIL_BUILD # there is a bats among the examples
        bash script </dev/null 3>&- 2>&1
    ) | same >printed
    diff -u expected printed
}

@test "the options in its table are those of shmaild" {
    help=$(shmaild --help)
    sed -n '/^## Options/,/^## /s/ |[^|]*|$//p' "$readme" | grep -oE -- '--?[A-Za-z0-9][-A-Za-z0-9]*' >options
    [ "$(grep -c . options)" -gt 10 ]
    while read -r option; do
        [[ $help == *" $option "* ]] || { echo "no $option"; return 1; }
    done <options
}
