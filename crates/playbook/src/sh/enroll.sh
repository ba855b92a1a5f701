read_value program; program=$value
read_value server; server=$value
read_value device; device=$value
read_value step; step=$value
if [ ! -x "$program" ]; then
    [ "$step" = check ] && { answer changed; exit 0; }
    echo "there is no program $program"
    refuse tool-missing
fi
set --
if has_value state; then read_value state; set -- "$@" --state "$value"; fi
status=$("$program" status -o json "$@" 2>/dev/null </dev/null)
of() { printf '%s\n' "$status" | sed -n "s|^  \"$1\": \"\\(.*\\)\",\\{0,1\\}\$|\\1|p"; }
if [ -n "$(of device)" ]; then
    if [ "$(of device)" = "$device" ] && [ "$(of server)" = "$server" ]; then answer unchanged; exit 0; fi
    echo "it is enrolled as $(of device) with $(of server)"
    refuse other-device
fi
[ "$step" = apply ] || { answer changed; exit 0; }
if has_value home; then read_value home; set -- "$@" --home "$value"; fi
if has_value browserPolicies; then read_value browserPolicies; set -- "$@" --browser-policies "$value"; fi
if has_value keystore; then read_value keystore; set -- "$@" --keystore "$value"; fi
read_value code
printf '%s' "$value" | "$program" enroll --server "$server" --device "$device" --code - "$@" || refuse task-failed
answer changed
