read_value creates
if [ -e "$value" ]; then answer unchanged; else answer changed; fi
