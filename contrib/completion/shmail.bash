# shmail.bash: completion of shmail, shmail-bench, shmaild and shmailctl for bash. Source it, or install it by
# each of these names into /usr/share/bash-completion/completions. It reads the words from each program's own
# --help, so it knows what the installed version knows.
# shellcheck shell=bash

_shmail_help() { # program as typed
    "${1/#\~/$HOME}" --help 2>/dev/null
}

_shmail_options() { # program
    _shmail_help "$1" | sed -n '/^  -/p' | grep -oE '(^  |, )--?[A-Za-z0-9-]+' | tr -d ' ,'
}

_shmail_offer() { # word, candidates on standard input
    mapfile -t COMPREPLY < <(compgen -W "$(cat)" -- "$1")
}

# The post offices of this machine.
_shmail_post_offices() {
    find /dev/shm -maxdepth 1 -name 'shmail-*' -user "$(id -u)" 2>/dev/null | sed 's|.*/shmail-||'
}

_shmail() { # program, word, word before
    local section='Commands of SMSP' commands position=1
    case $3 in
    -P | --protocol) _shmail_offer "$2" <<<'smsp message' && return ;;
    -t | --timeout) return ;;
    esac
    [[ ! ${COMP_WORDS[*]} =~ (-P|--protocol)[\ =]*message ]] || section='Commands of Message'
    commands=$(_shmail_help "$1" | sed -n "/^$section/,/^\$/s/^  \([a-z]*\).*/\1/p")
    # Over the options and their values, then over HOST PORT, to where the command belongs.
    while [ "$position" -lt "$COMP_CWORD" ]; do
        case "${COMP_WORDS[position - 1]} ${COMP_WORDS[position]}" in
        *' -'* | *' =' | '= '* | '-P '* | '-t '* | '--protocol '* | '--timeout '*) position=$((position + 1)) ;;
        *) break ;;
        esac
    done
    if [ "$((position + 2))" -eq "$COMP_CWORD" ] && [[ $3 == [1-9]* ]] &&
        ! grep -qxF -- "${COMP_WORDS[position]}" <<<"$commands"; then
        position=$COMP_CWORD
    fi
    if [ "$position" -eq "$COMP_CWORD" ] && [[ $2 == -* ]]; then
        _shmail_offer "$2" < <(_shmail_options "$1")
    elif [ "$position" -eq "$COMP_CWORD" ]; then
        _shmail_offer "$2" <<<"$commands"
    fi
}

_shmail-bench() {
    local protocol=smsp
    [[ ! ${COMP_WORDS[*]} =~ (-P|--protocol)[\ =]*([a-z-]+) ]] || protocol=${BASH_REMATCH[2]}
    case $3 in
    -P | --protocol) _shmail_offer "$2" < <(_shmail_help "$1" | sed -n 's/^Verbs of \([a-z-]*\) .*/\1/p') ;;
    -m | --mix)
        _shmail_offer "$2" < <(_shmail_help "$1" | sed -n "/^Verbs of $protocol /,/^\$/s/^  \([A-Z]*\) .*/\1/p")
        ;;
    *) [[ $2 != -* ]] || _shmail_offer "$2" < <(_shmail_options "$1") ;;
    esac
}

_shmaild() {
    case $3 in
    -n) _shmail_offer "$2" < <(_shmail_post_offices) ;;
    -d) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    --sync) _shmail_offer "$2" <<<'always never' ;;
    -u) _shmail_offer "$2" < <(cut -d : -f 1 /etc/passwd) ;;
    -l)
        compopt -o nospace 2>/dev/null # which fails outside a completion
        _shmail_offer "$2" <<<'inet: unix: proxy:inet: proxy:unix:'
        ;;
    : | -[Dtmc] | --crypt-cost | --per-source | --spare | --*-timeout | --accounts | --slots | --sessions | --segment-size | --journal-size) ;;
    --cookie-* | --quota-* | --registrations | --entries) ;;
    *) _shmail_offer "$2" < <(_shmail_options "$1") ;;
    esac
}

_shmailctl() {
    local before=
    [ "$COMP_CWORD" -lt 2 ] || before=${COMP_WORDS[COMP_CWORD - 2]}
    case "$before $3" in
    *' account') _shmail_offer "$2" <<<'add passwd list rm' && return ;;
    account\ *) return ;; # its name
    *' -n' | *' rm') _shmail_offer "$2" < <(_shmail_post_offices) && return ;;
    *' -D') return ;;
    *' -d') mapfile -t COMPREPLY < <(compgen -d -- "$2") && return ;;
    -[ndD]\ *) ;;
    *' journal') [[ $2 != -* ]] || { _shmail_offer "$2" <<<'--texts' && return; } ;;&
    *' journal' | *' --texts') mapfile -t COMPREPLY < <(compgen -f -- "$2") && return ;;
    esac
    if [[ $2 == -* ]]; then
        _shmail_offer "$2" < <(_shmail_options "$1")
    elif [ "$COMP_CWORD" -eq 1 ] || [[ $before == -[ndD] ]]; then
        _shmail_offer "$2" < <(_shmail_help "$1" | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
    fi
}

complete -F _shmail shmail
complete -F _shmail-bench shmail-bench
complete -o default -F _shmaild shmaild # a path behind unix:
complete -F _shmailctl shmailctl
