"""The completion scripts of the four shells, from the same list of commands.

Where the list comes from is `cli.completion`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Flag(NamedTuple):
    """A flag: its spellings, what it does, whether a value follows, and the values that it may have."""

    spellings: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


class Command(NamedTuple):
    """A command: its one or two words, what it does, its flags, and the words that may follow it."""

    words: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...]
    arguments: tuple[str, ...]


Nouns = dict[str, str]


def _spellings(flags: Iterable[Flag]) -> list[str]:
    return [spelling for flag in flags for spelling in flag.spellings]


def _verbs(commands: list[Command], noun: str) -> list[str]:
    return [command.words[1] for command in commands if command.words[0] == noun and len(command.words) > 1]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def bash(commands: list[Command], nouns: Nouns) -> str:
    """A function that looks at the words so far; after a flag with a value it offers files."""
    lines = [
        "# completion for ppilot; made by `ppilot completion bash`",
        "_ppilot() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} key words",
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'        COMPREPLY=($(compgen -W {_quoted(" ".join([*nouns, "--help", "--version"]))} -- "$cur"))',
        "        return",
        "    fi",
        "    key=${COMP_WORDS[1]}",
        '    case "$key" in',
    ]
    for noun in nouns:
        if verbs := _verbs(commands, noun):
            lines += [
                f"        {noun})",
                "            if [ \"$COMP_CWORD\" -eq 2 ]; then",
                f"                COMPREPLY=($(compgen -W {_quoted(' '.join(verbs))} -- \"$cur\"))",
                "                return",
                "            fi",
                f"            key=\"{noun} ${{COMP_WORDS[2]}}\" ;;",
            ]  # fmt: skip
    lines += ["    esac", '    case "$key:$prev" in']
    for command in commands:
        for flag in command.flags:
            if flag.choices:
                pattern = "|".join(_quoted(f"{' '.join(command.words)}:{word}") for word in flag.spellings)
                offer = f'compgen -W {_quoted(" ".join(flag.choices))} -- "$cur"'
                lines.append(f"        {pattern}) COMPREPLY=($({offer})); return ;;")
        takers = [
            word for flag in command.flags if flag.takes_value and not flag.choices for word in flag.spellings
        ]
        if takers:
            pattern = "|".join(_quoted(f"{' '.join(command.words)}:{word}") for word in takers)
            lines.append(f'        {pattern}) COMPREPLY=($(compgen -f -- "$cur")); return ;;')
    lines += ["    esac", '    case "$key" in']
    for command in commands:
        words = [*command.arguments, *_spellings(command.flags)]
        lines.append(f"        {_quoted(' '.join(command.words))}) words={_quoted(' '.join(words))} ;;")
    lines += [
        "        *) words= ;;",
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        '    case "$cur" in -*) ;; *) COMPREPLY+=($(compgen -f -- "$cur")) ;; esac',
        "}",
        "complete -F _ppilot ppilot",
    ]
    return "\n".join(lines)


def zsh(commands: list[Command], nouns: Nouns) -> str:
    """zsh's own `_arguments`, one block per command."""
    lines = [
        "#compdef ppilot",
        "# completion for ppilot; made by `ppilot completion zsh`",
        "_ppilot() {",
        "    local -a choices",
    ]
    lines.append("    if (( CURRENT == 2 )); then")
    described = " ".join(_quoted(f"{noun}:{text}") for noun, text in nouns.items())
    lines += [
        f"        choices=({described})",
        "        _describe command choices",
        "        return",
        "    fi",
    ]
    lines.append('    case "$words[2]" in')
    for noun in nouns:
        own = [command for command in commands if command.words[0] == noun]
        lines.append(f"        {noun})")
        if _verbs(commands, noun):
            described = " ".join(_quoted(f"{command.words[1]}:{command.help}") for command in own)
            lines += [
                "            if (( CURRENT == 3 )); then",
                f"                choices=({described})",
                "                _describe verb choices",
                "                return",
                "            fi",
                '            case "$words[3]" in',
            ]
            for command in own:
                after = f"shift 2 words; (( CURRENT -= 2 )); {_zsh_arguments(command)}"
                lines.append(f"                {command.words[1]}) {after} ;;")
            lines.append("            esac ;;")
        else:
            lines.append(f"            shift words; (( CURRENT -= 1 )); {_zsh_arguments(own[0])} ;;")
    lines += [
        "    esac",
        "}",
        'if [ "$funcstack[1]" = _ppilot ]; then _ppilot "$@"; else compdef _ppilot ppilot; fi',
    ]
    return "\n".join(lines)


def _zsh_arguments(command: Command) -> str:
    parts = []
    for flag in command.flags:
        about = flag.help.replace("[", "(").replace("]", ")").replace(":", " ")
        value = f":value:({' '.join(flag.choices)})" if flag.choices else ":value:_files"
        parts += [_quoted(f"*{word}[{about}]{value if flag.takes_value else ''}") for word in flag.spellings]
    rest = f"*:argument:({' '.join(command.arguments)})" if command.arguments else "*:file:_files"
    return "_arguments " + " ".join([*parts, _quoted(rest)])


def fish(commands: list[Command], nouns: Nouns) -> str:
    """One `complete` line per word."""
    lines = ["# completion for ppilot; made by `ppilot completion fish`"]
    for noun, text in nouns.items():
        lines.append(f"complete -c ppilot -n __fish_use_subcommand -f -a {noun} -d {_quoted(text)}")
    for command in commands:
        noun = command.words[0]
        condition = f"__fish_seen_subcommand_from {noun}"
        if len(command.words) > 1:
            verb = command.words[1]
            others = f"{condition}; and not __fish_seen_subcommand_from {' '.join(_verbs(commands, noun))}"
            lines.append(f"complete -c ppilot -n {_quoted(others)} -f -a {verb} -d {_quoted(command.help)}")
            condition += f"; and __fish_seen_subcommand_from {verb}"
        if command.arguments:
            lines.append(
                f"complete -c ppilot -n {_quoted(condition)} -f -a {_quoted(' '.join(command.arguments))}"
            )
        for flag in command.flags:
            words = " ".join(
                f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}" for word in flag.spellings
            )
            value = (
                f" -x -a {_quoted(' '.join(flag.choices))}"
                if flag.choices
                else " -r"
                if flag.takes_value
                else ""
            )
            lines.append(f"complete -c ppilot -n {_quoted(condition)} {words}{value} -d {_quoted(flag.help)}")
    return "\n".join(lines)


def tcsh(commands: list[Command], nouns: Nouns) -> str:
    """One `complete` command; tcsh offers a command's flags by the words before them."""
    rules = [f"'p/1/({' '.join(nouns)})/'"]
    rules += [f"'n/{noun}/({' '.join(verbs)})/'" for noun in nouns if (verbs := _verbs(commands, noun))]
    every = sorted(
        {
            word.lstrip("-")
            for command in commands
            for word in _spellings(command.flags)
            if word.startswith("--")
        }
    )
    rules.append(f"'c/--/({' '.join(every)})/'")
    rules.append("'p/*/f/'")
    return "# completion for ppilot; made by `ppilot completion tcsh`\ncomplete ppilot " + " ".join(rules)


SHELLS: dict[str, Callable[[list[Command], Nouns], str]] = {
    "bash": bash,
    "zsh": zsh,
    "fish": fish,
    "tcsh": tcsh,
}
