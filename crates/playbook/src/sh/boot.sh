# Begins every task. One line of JSON comes on standard input: texts by name, and what follows it is the content of a file.
LC_ALL=C
export LC_ALL
answer() { printf 'tegata: %s\n' "$*"; }
refuse() { answer "refused $1"; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || { echo "there is no $1"; refuse tool-missing; }; }
tegata_reader='
{ text = $0 }
END {
    i = 2
    while (substr(text, i, 1) == "\"") {
        key = next_text(); i++
        found = next_text(); i++
        if (key == wanted) { ORS = ""; print found; print "x"; exit 0 }
    }
    exit 1
}
function next_text(   out, n, c) {
    out = ""; i++
    for (;;) {
        n = match(substr(text, i), /[\\"]/)
        out = out substr(text, i, n - 1); i += n
        if (substr(text, i - 1, 1) == "\"") return out
        c = substr(text, i, 1); i++
        if (c == "n") c = "\n"
        else if (c == "r") c = "\r"
        else if (c == "t") c = "\t"
        else if (c == "b") c = "\b"
        else if (c == "f") c = "\f"
        else if (c == "u") { c = sprintf("%c", 16 * digit(substr(text, i + 2, 1)) + digit(substr(text, i + 3, 1))); i += 4 }
        out = out c
    }
}
function digit(c) { return index("0123456789abcdef", c) - 1 }
'
read_value() {
    value=$(printf '%s\n' "$tegata_json" | awk -v "wanted=$1" "$tegata_reader") || { echo "there is no value $1"; refuse broken; }
    value=${value%x}
}
has_value() { printf '%s\n' "$tegata_json" | awk -v "wanted=$1" "$tegata_reader" >/dev/null; }
hash_of() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -c1-64; else shasum -a 256 <"$1" | cut -c1-64; fi
}
IFS= read -r tegata_json || refuse broken
need awk
read_value tegata.as
if [ -n "$value" ] && [ "$value" != "$(id -un)" ]; then
    need sudo
    { printf '%s\n' "$tegata_json"; cat; } | sudo -n -H -u "$value" -- sh -c "$1" tegata "$1"
    exit
fi
read_value tegata.script
eval "$value"
