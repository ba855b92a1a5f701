read_value to; to=$value
read_value sha256; sha256=$value
read_value mode; mode=$value
read_value step; step=$value
case $to in /*) ;; *) echo "$to is not an absolute path"; refuse broken ;; esac
mode_of() { stat -c 0%a -- "$1" 2>/dev/null || stat -f 0%Lp -- "$1"; }
if [ -f "$to" ] && [ "$(hash_of "$to")" = "$sha256" ] && [ "$(mode_of "$to")" = "$mode" ]; then answer unchanged; exit 0; fi
[ ! -d "$to" ] || { echo "$to is a folder"; refuse broken; }
[ "$step" = apply ] || { answer changed; exit 0; }
folder=${to%/*}
part=$folder/.${to##*/}.tegata-part
complain() {
    printf '%s\n' "$1"
    case $1 in *'No space left'* | *[Qq]uota* | *'too large'*) refuse disk-full ;; esac
    refuse forbidden
}
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 022
said=$(mkdir -p -- "$folder/" 2>&1) || complain "$said"
umask 077
# Whoever owns the folder may have put a link there: it is never followed, neither to write nor to set rights.
rm -f -- "$part"
write() {
    set -C
    exec 3>"$part" || return 1
    cat >&3 || return 1
    if [ "$(uname -s)" = Darwin ]; then chmod -h "$mode" "$part"; else chmod "$mode" /proc/self/fd/3; fi
}
said=$(write 2>&1) || complain "$said"
[ "$(hash_of "$part")" = "$sha256" ] || { echo "what arrived is not what was sent"; refuse broken; }
said=$({ mv -f -- "$part" "$to"; } 2>&1) || complain "$said"
answer changed
