"""`trustbench completion`: the script that lets a shell complete commands, options and arms."""

from collections.abc import Sequence

from trustbench.commands.candidates import candidates
from trustbench.errors import UserError, did_you_mean

SCRIPTS = {
    # bash splits a word at each `=`, so only what follows the last one is replaced
    "bash": """_trustbench() {
    local IFS=$' \\t\\n' words last
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=("")
    last=${words[${#words[@]}-1]}
    IFS=$'\\n'
    COMPREPLY=($(trustbench completion words "${words[@]:1}" 2>/dev/null))
    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${last%"${last##*=}"}"}")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _trustbench trustbench
""",
    "zsh": """#compdef trustbench
_trustbench() {
    local -a found
    found=(${(f)"$(trustbench completion words "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( ${#found} )); then compadd -S '' -a found; else _files; fi
}
compdef _trustbench trustbench
""",
    "fish": """function __trustbench_words
    set -l words (commandline -opc) (commandline -ct)
    trustbench completion words $words[2..] 2>/dev/null
end
complete -c trustbench -a '(__trustbench_words)'
""",
}
USAGE = """usage: trustbench completion {bash,zsh,fish}

Prints the script that completes commands, flags, options, experiments and arms.

  bash   echo 'source <(trustbench completion bash)' >> ~/.bashrc
  zsh    echo 'source <(trustbench completion zsh)' >> ~/.zshrc     (after compinit)
  fish   trustbench completion fish > ~/.config/fish/completions/trustbench.fish
"""


def main(args: Sequence[str]) -> int:
    """Prints the script of a shell, or the completions of a word; returns 0."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")  # noqa: T201
        return 0
    shell, *words = args
    if shell == "words":
        for candidate in candidates(words or [""]):
            print(candidate)  # noqa: T201
        return 0
    if shell not in SCRIPTS:
        raise UserError(f"unknown shell {shell!r}; {did_you_mean(shell, SCRIPTS)}")
    print(SCRIPTS[shell], end="")  # noqa: T201
    return 0
