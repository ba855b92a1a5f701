read_value to
if [ -f "$value" ]; then cat -- "$value"; fi
