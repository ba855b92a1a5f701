read_value program; program=$value
read_value state; state=$value
read_value step; step=$value
unit=tegata-agent.service
label=dev.tegata.agent
runs() {
    if [ "$(uname -s)" = Darwin ]; then
        plist=$HOME/Library/LaunchAgents/$label.plist
        launchctl print "gui/$(id -u)/$label" >/dev/null 2>&1 || return 1
        placed=$(plutil -extract ProgramArguments.0 raw -o - "$plist") || return 1
        [ "$(hash_of "$placed")" = "$(hash_of "$program")" ]
    else
        need systemctl
        systemctl --user is-enabled --quiet "$unit" 2>/dev/null && systemctl --user is-active --quiet "$unit" 2>/dev/null || return 1
        pid=$(systemctl --user show --property MainPID --value "$unit") || return 1
        [ "$(hash_of "/proc/$pid/exe")" = "$(hash_of "$program")" ]
    fi
}
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
export XDG_RUNTIME_DIR
if [ "$state" = started ]; then
    if runs; then answer unchanged; exit 0; fi
    [ "$step" = apply ] || { answer changed; exit 0; }
    if [ "$(uname -s)" = Darwin ]; then
        "$program" install </dev/null || refuse task-failed
    else
        { systemctl --user daemon-reload && systemctl --user enable "$unit" && systemctl --user restart "$unit"; } || refuse task-failed
    fi
    answer changed
    exit 0
fi
if [ ! -e "$program" ]; then answer unchanged; exit 0; fi
[ "$step" = apply ] || { answer changed; exit 0; }
if [ "$(uname -s)" = Darwin ]; then
    "$program" uninstall </dev/null || refuse task-failed
elif systemctl --user is-enabled --quiet "$unit" 2>/dev/null || systemctl --user is-active --quiet "$unit" 2>/dev/null; then
    systemctl --user disable --now "$unit" || refuse task-failed
fi
rm -f -- "$program" || refuse forbidden
answer changed
