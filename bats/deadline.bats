# deadline.bats: how long a client may take. A slow one costs one process, for so long, and nothing else.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

ends() { # descriptor; true when the server closes it within 10 seconds
    local status=0
    read -r -t 10 -u "$1" || status=$?
    [ "$status" -le 128 ]
}

late_requests() { # how many
    [ "$(grep -c 'closed: its request took too long' "$log")" -eq "$1" ]
}

@test "a request that comes byte by byte is late, in either protocol" {
    local slow first long
    printf -v long '%020000d' 0
    start_server -v -m 1000 --request-timeout 1
    # A word, and the head of a frame of 100 bytes; and what is too long and passed over as it comes.
    for first in N '\0\0\0\0\0\0\0\144' "$long" '\0\0\0\0\0\1\0\0'; do
        exec {slow}<>"/dev/tcp/$HOST/$PORT"
        # A byte every tenth of a second is never idle. Who writes to a closed connection is ended by SIGPIPE.
        (
            printf '%b' "$first" >&"$slow"
            for _ in {1..60}; do
                read -r -t 0.1 <> <(:) || :
                printf 'O' >&"$slow" || exit
            done
        ) 2>/dev/null 3>&- &
        run -0 ask NOOP
        assert_output OK
        ends "$slow"
        exec {slow}>&-
        kill $! 2>/dev/null || :
        wait $! || :
    done
    eventually late_requests 4
}

@test "the time of a request begins anew with each, and between them only idleness counts" {
    local steady
    start_server -v --request-timeout 1
    dial steady
    for _ in {1..4}; do
        run -142 read -r -t 0.4 -u "$steady"
        tell "$steady" NOOP
        told "$steady" OK
    done
    exec {steady}>&-
}

milliseconds() {
    echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# A child that has read some requests waits by a timer that it sets once for many.
@test "idleness counts from the last request on, also after a wait for mail that took longer" {
    local cookie since waited
    start_server -v -t 2 --crypt-cost 1
    cookie=$(enrol alice)
    dial client
    for _ in {1..4}; do
        run -142 read -r -t 0.8 -u "$client"
        tell "$client" NOOP
        told "$client" OK
    done
    tell "$client" "WAIT alice 1 3 $cookie"
    told "$client" KO
    run -142 read -r -t 1.5 -u "$client"
    tell "$client" NOOP
    told "$client" OK
    since=$(milliseconds)
    ends "$client"
    waited=$(($(milliseconds) - since))
    [ "$waited" -ge 1950 ] && [ "$waited" -lt 3500 ]
    eventually grep -q 'closed: idle for too long' "$log"
    exec {client}>&-
}

@test "a client that may be idle for ever is ended with the server" {
    local one
    start_server -v -t 0
    dial one
    for _ in {1..5}; do
        tell "$one" NOOP
        told "$one" OK
    done
    run -142 read -r -t 1 -u "$one"
    stop_server
    ends "$one"
    exec {one}>&-
}

@test "a client that takes none of its replies is closed, and others are served meanwhile" {
    local cookie deaf
    start_server -v --write-timeout 1 --crypt-cost 1
    cookie=$(enrol alice)
    run -0 ask "SEND alice $(printf '%0500000d' 0) $cookie"
    exec {deaf}<>"/dev/tcp/$HOST/$PORT"
    for _ in {1..200}; do
        echo "FETCH alice 1 $cookie"
    done >&"$deaf"
    run -0 ask NOOP
    assert_output OK
    eventually grep -q 'closed: it did not take its replies' "$log"
    eventually has_children 0
    exec {deaf}>&-
}

@test "a session ends, busy or not" {
    local busy asked=0
    start_server -v --session-timeout 1
    dial busy
    while tell "$busy" NOOP 2>/dev/null && read -r -t 10 -u "$busy"; do
        asked=$((asked + 1))
        [ "$SECONDS" -lt 30 ] || break
    done
    [ "$SECONDS" -lt 30 ]
    [ "$asked" -gt 0 ]
    eventually grep -q 'closed: the session lasted too long' "$log"
    exec {busy}>&-
}

idle_ends() { # how many connections ended so
    [ "$(grep -c 'closed: idle for too long' "$log")" -eq "$1" ] && has_children 0
}

@test "content that takes longer than the server keeps an idle client is sent all the same" {
    local line slow ends=0
    start_server -v -t 1 --crypt-cost 1
    export SHMAIL_USER=alice SHMAIL_PASSWORD=secret
    shmail register
    mkfifo input
    for line in "shmail send alice -" shmail \
        "env SHMAIL_USER=alice@mail.localhost shmail -P message send alice@mail.localhost header -"; do
        $line <input >output 3>&- &
        exec {slow}>input
        [ "$line" != shmail ] || printf '%s\n' count "send alice -" >&"$slow"
        ends=$((ends + 1))
        eventually idle_ends "$ends"
        printf 'late\nQUIT\n' >&"$slow"
        exec {slow}>&-
        wait $!
        run shmail fetch "$ends"
        assert_line "late"
        assert_line "QUIT"
    done
}
