read_value step; step=$value
need pgrep
if [ "$(uname -s)" = Darwin ]; then names='Google Chrome'; else names=chrome; fi
found=no
for name in "$names" chromium; do
    for process in $(pgrep -u "$(id -u)" -x "$name"); do
        # The browser's children go with it.
        parent=$(ps -o ppid= -p "$process" | tr -d ' ')
        case " $(pgrep -u "$(id -u)" -x "$name" | tr '\n' ' ') " in *" $parent "*) continue ;; esac
        found=yes
        [ "$step" = apply ] && kill -TERM "$process"
    done
done
if [ "$found" = yes ]; then answer changed; else answer unchanged; fi
