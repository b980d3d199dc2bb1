"""Shell scripts that connect the Tab key to `nmt --complete`; `nmt --completion SHELL` prints them."""

# bash splits words at "=" (see COMP_WORDBREAKS) and replaces only the part after it.
_BASH = r"""_nmt_complete() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT}
    COMPREPLY=($("${COMP_WORDS[0]}" --complete "$line" 2>/dev/null))
    if [[ ${line##* } == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#*=}")
    fi
}
complete -o nospace -o default -F _nmt_complete nmt
"""

_ZSH = r"""#compdef nmt
_nmt_complete() {
    local -a replies
    replies=(${(f)"$("${words[1]}" --complete "$LBUFFER" 2>/dev/null)"})
    if (( ${#replies} )); then
        compadd -Q -S '' -- "${replies[@]}"
    else
        compset -P '*='
        _files
    fi
}
compdef _nmt_complete nmt
"""

_FISH = r"""function __nmt_complete
    set -l line (commandline -cp)
    set -l replies (nmt --complete "$line" 2>/dev/null | string trim)
    if set -q replies[1]
        printf '%s\n' $replies
    else
        set -l word (commandline -ct)
        set -l key (string match -r '^[^=]*=' -- $word)
        __fish_complete_path (string replace -r '^[^=]*=' '' -- $word) | string replace -r '^' "$key"
    end
end
complete -c nmt -f -a '(__nmt_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""Shell → its script. completion.py describes what `nmt --complete` prints."""
