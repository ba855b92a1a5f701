case $(uname -s) in Linux) os=linux ;; Darwin) os=macos ;; *) os=other ;; esac
case $(uname -m) in x86_64 | amd64) arch=x86_64 ;; aarch64 | arm64) arch=aarch64 ;; *) arch=other ;; esac
if [ -d /run/systemd/system ]; then init=systemd; elif [ "$os" = macos ]; then init=launchd; else init=other; fi
there() { for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 && { echo yes; return; }; done; echo no; }
if [ -d "/Applications/Google Chrome.app" ]; then chrome=yes; else chrome=$(there google-chrome google-chrome-stable chromium chromium-browser); fi
answer "fact os $os"
answer "fact arch $arch"
answer "fact init $init"
answer "fact user $(id -un)"
answer "fact home $HOME"
if [ "$(id -u)" = 0 ]; then answer "fact administrator yes"; else answer "fact administrator no"; fi
answer "fact chrome $chrome"
answer "fact nss $(there pk12util)"
answer "fact dpkg $(there dpkg)"
