# TLS by stunnel in front of shmaild, as contrib/stunnel has it: the wire is encrypted, and the true peer arrives.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

teardown() {
    local result=0
    if [ -n "${stunnel-}" ]; then
        kill "$stunnel"
        wait "$stunnel" || :
    fi
    stop_server || result=$?
    remove_segment
    return "$result"
}

# A certificate of our own, which the client is told to trust.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem 2>openssl.err ||
        { cat openssl.err; return 1; }
}

stunnel_is_up() {
    grep -q 'Configuration successful' stunnel.log || ! kill -0 "$stunnel" 2>/dev/null
}

# The configuration that we publish, with the addresses and files of this test. It takes no port 0, so ports are
# tried until one is free.
start_stunnel() { # shmaild's address
    for _ in {1..20}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        {
            printf 'foreground = yes\npid =\nsyslog = no\ndebug = notice\n'
            sed -e "s|^accept = .*|accept = 127.0.0.1:$port|; s|^connect = .*|connect = $1|" \
                -e "s|^cert = .*|cert = $PWD/certificate.pem|; s|^key = .*|key = $PWD/key.pem|" \
                "$BATS_TEST_DIRNAME/../contrib/stunnel/shmail.conf"
        } >stunnel.conf
        stunnel4 stunnel.conf >stunnel.log 2>&1 3>&- &
        stunnel=$!
        eventually stunnel_is_up
        if kill -0 "$stunnel" 2>/dev/null; then
            return 0
        fi
        grep -q 'Address already in use' stunnel.log || break
    done
    cat stunnel.log
    stunnel=
    return 1
}

@test "through stunnel a client is encrypted, served, and known by its true address" {
    local reply
    make_certificate
    start_server -v --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    behind=${SHMAIL_BOUND##*$'\n'}
    [[ $behind == proxy:inet:127.0.0.1:* ]]
    start_stunnel "${behind#proxy:inet:}"
    coproc client {
        exec openssl s_client -quiet -verify_quiet -verify_return_error -CAfile certificate.pem \
            -bind 127.0.0.7:0 -connect "127.0.0.1:$port" 2>client.err
    }
    exec {to}>&"${client[1]}" {from}<&"${client[0]}"
    tell "$to" "REGISTER alice secret"
    read -r -t 10 -u "$from" reply
    [[ $reply == "OK "* ]]
    run ctl ps
    assert_output --regexp $'\tsmsp\talive\t.*\t127\\.0\\.0\\.7:[0-9]+'
    tell "$to" "LOGIN alice wrong" QUIT
    told "$from" KO OK
    exec {to}>&- {from}<&-
    grep -qE '127\.0\.0\.7:[0-9]+: connected' "$log"
    grep -qE '127\.0\.0\.7:[0-9]+: wrong password for alice' "$log"
    expect_deserted
}
