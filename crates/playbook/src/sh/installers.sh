read_value hashes; hashes=$value
read_value step; step=$value
found=no
number=0
while has_value "folder.$number"; do
    read_value "folder.$number"; folder=$value
    for file in "$folder"/*.[pP]12 "$folder"/*.[pP][fF][xX]; do
        [ -f "$file" ] && [ ! -L "$file" ] || continue
        case " $hashes " in *" $(hash_of "$file") "*) ;; *) continue ;; esac
        found=yes
        [ "$step" = apply ] && { rm -f -- "$file" || refuse forbidden; }
    done
    number=$((number + 1))
done
if [ "$found" = yes ]; then answer changed; else answer unchanged; fi
