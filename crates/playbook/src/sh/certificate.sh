read_value fingerprint; fingerprint=$value
read_value step; step=$value
folder=$(mktemp -d "${TMPDIR:-/tmp}/tegata.XXXXXX") || refuse disk-full
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 077
if [ "$(uname -s)" = Darwin ]; then
    present() { security find-certificate -a -Z 2>/dev/null | grep -qi "^SHA-256 hash: $fingerprint\$"; }
    # Read from standard input, so that no other user sees the password. In quotation marks only \ and " mean more than themselves.
    import() {
        quoted=$(printf '%sx' "$value" | sed 's/[\\"]/\\&/g')
        said=$(printf 'import "%s" -f pkcs12 -x -P "%s" -T "/Applications/Google Chrome.app"\n' "$folder/file.p12" "${quoted%x}" | security -i 2>&1)
        case $said in *'import: returned '*) printf '%s\n' "$said"; return 1 ;; esac
    }
else
    need certutil
    need pk12util
    place=$HOME/.pki/nssdb
    [ -d "$place" ] || place=${XDG_DATA_HOME:-$HOME/.local/share}/pki/nssdb
    present() {
        [ -f "$place/cert9.db" ] || return 1
        certutil -L -d "sql:$place" | sed -n 's/[[:space:]]\{1,\}[A-Za-z]*,[A-Za-z]*,[A-Za-z]*[[:space:]]*$//p' >"$folder/names"
        while IFS= read -r name; do
            certutil -L -d "sql:$place" -n "$name" -r >"$folder/der" 2>/dev/null </dev/null && [ "$(hash_of "$folder/der")" = "$fingerprint" ] && return 0
        done <"$folder/names"
        return 1
    }
    import() {
        [ -f "$place/cert9.db" ] || { mkdir -p -- "$place" && certutil -N -d "sql:$place" --empty-password; } || return 1
        printf '%s' "$value" >"$folder/password" && echo >"$folder/nothing" || return 1
        pk12util -i "$folder/file.p12" -d "sql:$place" -w "$folder/password" -k "$folder/nothing" </dev/null
    }
fi
if present; then answer unchanged; exit 0; fi
[ "$step" = apply ] || { answer changed; exit 0; }
cat >"$folder/file.p12" || refuse disk-full
read_value password
import || refuse task-failed
present || { echo "it was taken, and is not there"; refuse task-failed; }
answer changed
