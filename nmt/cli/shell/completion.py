"""Completion by the Tab key: commands, then each command's groups, choices, keys and values.

A shell's script hands over the line up to the cursor (`nmt --complete LINE`) and gets the words that may stand in the
last one's place, one a line. A word that is finished ends in a space. Where there is nothing to say, as behind `run=`,
the shell completes names of files.
"""

from __future__ import annotations

from nmt.cli import COMMANDS, SHELLS, Command
from nmt.cli.shell.configuration import Composition, compose, opened
from nmt.cli.shell.overrides import configure
from nmt.errors import UserError

# bash breaks words at "=" (COMP_WORDBREAKS), and replaces only what stands behind it.
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

SCRIPTS = dict(zip(SHELLS, (_BASH, _ZSH, _FISH), strict=True))

_FLAGS = ("--help", "--cfg job", "--resolve", "--multirun")


def complete(line: str) -> list[str]:
    """The words that may stand in place of the last one of `line`; the first word is the program's name."""
    *before, word = line.split(" ")
    before = [earlier for earlier in before[1:] if earlier]
    if not before:
        return [f"{name} " for name in (*(command.name for command in COMMANDS), "--help") if name.startswith(word)]
    command = next((command for command in COMMANDS if command.name == before[0]), None)
    if command is None:
        return []
    if word.startswith("-"):
        return [f"{flag} " for flag in _FLAGS if flag.startswith(word)]
    composition = _composition(command, [earlier for earlier in before[1:] if "=" in earlier])
    key, equals, value = word.partition("=")
    if equals:
        return [f"{key}={choice} " for choice in _values(composition, key) if choice.startswith(value)]
    return [name for name in _keys(composition, word) if name.startswith(word)]


def _composition(command: Command, overrides: list[str]) -> Composition:
    """The configuration that the words so far make; a wrong word among them is the run's business, not ours."""
    with opened() as folder:
        try:
            return configure(command, folder, overrides)
        except UserError:
            return compose(command.name, folder, [])


def _values(composition: Composition, key: str) -> list[str]:
    if key in composition.choices:
        return composition.options(key)
    default = composition.value(key)
    if isinstance(default, bool):
        return ["true", "false"]
    return [str(default)] if isinstance(default, int | float | str) and default != "" else []


def _keys(composition: Composition, word: str) -> list[str]:
    """The groups, and the keys down to the next dot behind `word`."""
    found = [f"{group}=" for group in composition.choices]
    keys = composition.names()
    for key in keys:
        head, dot, _ = key[len(word) :].partition(".")
        name = word + head
        if key.startswith(word) and key not in composition.choices and not name.rpartition(".")[2].startswith("_"):
            leaf = not dot and not any(other.startswith(f"{key}.") for other in keys)
            found.append(f"{name}=" if leaf else f"{name}.")
    return list(dict.fromkeys(found))
