read_value file; file=$value
read_value step; step=$value
for tool in dpkg-deb dpkg-query apt-get; do need "$tool"; done
name=$(dpkg-deb -f "$file" Package 2>&1) && version=$(dpkg-deb -f "$file" Version 2>&1) || { echo "$name"; refuse task-failed; }
installed=$(dpkg-query -W -f '${db:Status-Status} ${Version}' -- "$name" 2>/dev/null)
if [ "$installed" = "installed $version" ]; then answer unchanged; exit 0; fi
[ "$step" = apply ] || { answer changed; exit 0; }
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -- "$file" </dev/null || refuse task-failed
answer changed
