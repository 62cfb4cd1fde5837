# frame.bash: frames of the Message protocol for tests: made from a type and a body, and shown as a line "TYPE BODY".
# shellcheck shell=bash

# Prints a header: type and length.
frame_header() {
    local bytes format='' i
    printf -v bytes '%08x%08x' $(($1 & 0xFFFFFFFF)) $(($2 & 0xFFFFFFFF))
    for ((i = 0; i < 16; i += 2)); do
        format+="\\x${bytes:i:2}"
    done
    # shellcheck disable=SC2059 # the format is the header
    printf "$format"
}

# Prints a frame: type, body.
frame() {
    local LC_ALL=C
    frame_header "$1" ${#2}
    printf '%s' "$2"
}

# Shows each frame of standard input. The last line says so where one is cut.
show_frames() {
    LC_ALL=C od -An -v -tu1 -w1 | LC_ALL=C awk '
        at < 8 { header[at++] = $1 + 0; body = "" }
        at == 8 && body == "" && !begun {
            type = ((header[0] * 256 + header[1]) * 256 + header[2]) * 256 + header[3]
            left = ((header[4] * 256 + header[5]) * 256 + header[6]) * 256 + header[7]
            begun = 1
            if (left > 0) next
        }
        begun && left > 0 { body = body sprintf("%c", $1); left-- }
        begun && left == 0 { print (type < 2147483648 ? type : type - 4294967296), body; at = 0; begun = 0 }
        END { if (at > 0) print "cut" }'
}

# Opens a connection to the server; its descriptor is in the variable that is named.
connect() {
    eval "exec {$1}<>/dev/tcp/$HOST/$PORT"
}

# Sends a frame: descriptor, type, body.
say() {
    frame "$2" "$3" >&"$1"
}

# Receives one frame as the published client does, by two calls of read(2), and compares its line: descriptor, line.
hear() {
    local header length body
    header=$(timeout 10 dd bs=8 count=1 status=none <&"$1" | od -An -v -tu1)
    # shellcheck disable=SC2086 # eight numbers
    set -- "$1" "$2" $header
    [ $# -eq 10 ] || { echo "no header: $header"; return 1; }
    length=$(((($7 * 256 + $8) * 256 + $9) * 256 + ${10}))
    body=$(timeout 10 dd bs="$length" count=1 status=none <&"$1")
    local type=$(((($3 * 256 + $4) * 256 + $5) * 256 + $6))
    body="$((type < 2147483648 ? type : type - 4294967296)) $body"
    [ "$body" = "$2" ] || { echo "not '$2' but '$body'"; return 1; }
}

# True when the server closes without another byte.
hear_end() {
    [ -z "$(timeout 10 cat <&"$1" | od -An -v -tu1)" ]
}
