# A file goes only if it is what was hashed. A shell removes by name, so the name is taken away from everybody else first: the file moves into
# a folder that only we can write into, is looked at there once more, and goes there, or comes back. What a shell cannot do: stop a program
# that had the file open before from writing into what is already gone.
read_value hashes; hashes=$value
read_value step; step=$value
found=no
left=no
tell_left() { printf '%s/%s %s\n' "$(pwd -P)" "$1" "$2"; left=yes; }
owner_of() { stat -c %u -- "$1" 2>/dev/null || stat -f %u -- "$1"; }
# A file of this folder, by no link, and with one of the hashes.
is_ours() {
    [ -f "$1" ] && [ ! -L "$1" ] || return 1
    case " $hashes " in *" $(hash_of "$1") "*) return 0 ;; esac
    return 1
}
# Brings what lies here back to the folder above, over nothing.
bring_back() {
    for held in ./*.[pP]12 ./*.[pP][fF][xX]; do
        [ -e "$held" ] || [ -L "$held" ] || continue
        if [ -e "../$held" ] || [ -L "../$held" ] || ! mv -- "$held" "../$held"; then tell_left "${held#./}" 'could not go back to where it was'; fi
    done
}
# In a folder of ours: what is to go goes, everything else comes back.
settle() {
    for held in ./*.[pP]12 ./*.[pP][fF][xX]; do
        if is_ours "$held"; then rm -f -- "$held" || refuse forbidden; fi
    done
    bring_back
}
# Enters a folder that only we can write into, and no other.
enter() {
    [ ! -L "$1" ] && cd -P -- "$1" 2>/dev/null || return 1
    case "$(ls -ldn . | cut -c1-10) $(owner_of .)" in "drwx------ $(id -u)") return 0 ;; esac
    return 1
}
take() {
    held=$(mktemp -d ./.tegata-removal.XXXXXX) || refuse forbidden
    mv -- "$1" "$held/" || { rmdir -- "$held"; refuse forbidden; }
    (
        enter "$held" || exit 1
        trap bring_back EXIT
        trap 'exit 1' HUP INT TERM PIPE
        settle
    ) || left=yes
    rmdir -- "$held" || left=yes
}
look_through() {
    # Where a run was killed in the middle.
    for held in ./.tegata-removal.*; do
        [ -d "$held" ] && [ ! -L "$held" ] || continue
        found=yes
        [ "$step" = apply ] || continue
        (enter "$held" && settle) && rmdir -- "$held" || tell_left "${held#./}" 'is a removal that was interrupted, and could not be ended'
    done
    for file in ./*.[pP]12 ./*.[pP][fF][xX]; do
        is_ours "$file" || continue
        case $(owner_of "$file") in
            "$(id -u)" | "$(owner_of .)") ;;
            *) tell_left "${file#./}" 'belongs to somebody else'; continue ;;
        esac
        found=yes
        if [ "$step" = apply ]; then take "$file"; fi
    done
}
number=0
while has_value "folder.$number"; do
    read_value "folder.$number"
    number=$((number + 1))
    case $value in /*) ;; *) echo "$value is not an absolute path"; refuse broken ;; esac
    [ -d "$value" ] || continue
    if [ -L "$value" ]; then printf '%s is a link: nothing was looked for behind it\n' "$value"; left=yes; continue; fi
    cd -P -- "$value" || refuse forbidden
    look_through
done
[ "$left" = no ] || refuse task-failed
if [ "$found" = yes ]; then answer changed; else answer unchanged; fi
