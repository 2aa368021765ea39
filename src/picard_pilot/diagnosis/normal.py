"""A line without what differs from job to job: times, numbers, addresses, paths, hosts, users, identifiers.

What stays is what the program's author wrote, and what tells one error from another: names of source files and
libraries, of variables and keys, numbers of errors. Choosing lines is `diagnosis.fingerprint`.

Decisions. Line numbers go: they move with each version, and function and message tell the place. A path loses its
directories; of its last part a source file or library keeps its name, any other file only its ending, since data files
are named after jobs. A text in quotes stays (a missing key is another error than another missing key) unless it is one
of the things above. A number goes unless it is the number of an error: `errno 28`, `HTTP 503`, `exit code 3`. Of
CVMFS the repository stays, and of EOS, AFS and dCache that it is one of them: what all nodes share fails otherwise than
a node's own disk.
"""

import re
from collections.abc import Callable, Mapping

LINE_CHARACTERS = 400
"""Of a line, as it comes, which is what the pilot keeps of one; the cut bounds the effort too."""

NORMAL_CHARACTERS = 160
"""Of a normalised line: a text cut before normalisation would end elsewhere with each length of a path."""

_SOURCES = (
    r"py|pyx|pyc|c|cc|cpp|cxx|C|h|hh|hpp|hxx|icc|ipp|cu|f|F|f90|F90|for|java|scala|go|rs|js|ts|pl|pm|rb|sh|bash|"
    r"R|lua|jl|exe|jar|so|dll|dylib|sif|img"
)
_DATA = (
    r"root|txt|dat|data|log|json|xml|csv|tsv|tgz|tar|gz|bz2|xz|zip|zst|h5|hdf5|npy|npz|parquet|arrow|lhe|hepmc|"
    r"yaml|yml|toml|cfg|conf|ini|db|sqlite|pdf|png|svg|ps|eps|out|err|tmp|lock|pkl|pickle|bin|slcio|raw|evt|pem|"
    r"html|md|tex|bak"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}"
_ZONE = r"(?:Z\b|(?:UTC|GMT|CES?T|EES?T|WES?T|[ECMP][SD]T|BST|JST|MSK)\b|[+-]\d{2}:?\d{2}\b)"
_CLOCK = rf"\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?:[.,]\d{{1,9}})?(?: ?[AaPp][Mm]\b)?(?: ?{_ZONE})?"
_GENERIC = r"com|org|net|edu|gov|int|local|localdomain|cloud|internal"
_COUNTRY = (
    r"ch|de|fr|it|uk|es|nl|se|no|fi|dk|pl|cz|sk|si|at|be|pt|ro|hu|gr|ru|ua|tr|il|jp|cn|kr|tw|in|au|nz|ca|us|br|cl|ar|"
    r"mx|co|za|eu|ie|ee|lv|lt|bg|hr|rs"
)
_LABEL = r"[A-Za-z0-9][A-Za-z0-9-]{0,62}\."
_NUMBER = r"[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?"
_KEEP = "\ue000"
"""Stands behind each character that is kept although it looks like one that differs; no log has it."""

_COMMON_NAMES = frozenset(
    {"root", "nobody", "user", "users", "data", "test", "job", "jobs", "file", "error", "node", "host"}
    | {"atlas", "cms", "alice", "lhcb", "belle", "pilot", "panda"}
)
"""Accounts and hosts of these names cannot be told from words."""

_ENDING = re.compile(r"\.([A-Za-z]\w{0,9})(?:\.\d+)*$")
_SOURCE_NAME = re.compile(rf"(?P<name>[\w+.-]{{1,100}}?\.(?:{_SOURCES}))(?:\.\d+)*")
_SHARED = re.compile(r"/(cvmfs/[a-z][a-z0-9.-]*|eos|afs|pnfs)(?=/|$)")
_NODE_WORD = re.compile(
    r"(?i)(?:node|wn|host|worker|slot|server|batch|farm|grid|cpu|gpu|job|task|run|evt|event|thread|rank|proc|pid|user|"
    r"file|chunk|part|tmp|pilot|lx)[a-z]{0,6}\d"
)
_DIGITS = re.compile(r"\d+")
_BYTES = re.compile(r"\d[0-9a-f]{2,7}")


def normal(line: str, known: Mapping[str, str] | None = None) -> str:
    """The line without what differs from job to job, of bounded length.

    `known` are names with the word that stands for each, tried first, whole words only.
    """
    text = line[:LINE_CHARACTERS].replace(_KEEP, "")
    if len(line) > LINE_CHARACTERS or text.endswith("…"):  # what is left of the last word
        text = text.rpartition(" ")[0] or text.rstrip("…")
    for name, word in sorted((known or {}).items(), key=lambda item: (-len(item[0]), item[0])):
        if len(name) > 2 and name.lower() not in _COMMON_NAMES:
            parts = re.split(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
            text = word.join(parts)
    for pattern, put in _STEPS:
        text = pattern.sub(put, text)
    text = " ".join(text.replace(_KEEP, "").split())
    if len(text) > NORMAL_CHARACTERS:
        text = text[:NORMAL_CHARACTERS].rpartition(" ")[0] or text[:NORMAL_CHARACTERS]
    return text


def _kept(text: str) -> str:
    return "".join(char + _KEEP for char in text)


def _keep(match: re.Match[str]) -> str:
    return _DIGITS.sub(lambda digits: _kept(digits[0]), match[0])


def _url(match: re.Match[str]) -> str:
    rest = match["rest"].rstrip(".,;:")
    end = match["rest"][len(rest) :]
    if match["scheme"].lower() == "file":
        return _place(f"/{rest.lstrip('/')}") + end
    path = rest.partition("/")[2].partition("?")[0].strip("/")
    return f"{match['scheme']}://<host>{f'/{_last(path)}' if path else ''}{end}"


def _path(match: re.Match[str]) -> str:
    """A path without its trailing full stop; one that stood in quotes comes here once more."""
    whole = match["path"].replace(_KEEP, "")
    path = whole.rstrip(".")
    return (_place(path) if path.strip("/") else path) + whole[len(path) :]


def _quoted_path(match: re.Match[str]) -> str:
    return f"{match['quote']}{_place(match['path'])}{match['quote']}"


def _relative(match: re.Match[str]) -> str:
    """`src/a/b.cc`, `out/x.root`; not `read/write`, `I/O` and `3/10`."""
    path = match["path"].rstrip(".")
    end = match["path"][len(path) :]
    named = _last(path)
    if named != "<path>":
        return named + end
    return "<path>" + end if path.count("/") > 1 and not path.replace("/", "").isdigit() else match[0]


def _place(path: str) -> str:
    """What stays of a path: the storage that all nodes share, where it is in one, and what its last part tells."""
    shared = _SHARED.match(path)
    return f"/{_kept(shared[1])}/{_last(path)}" if shared else _last(path)


def _last(path: str) -> str:
    """The name of a source file or library, the ending of another file, else nothing."""
    name = path.rpartition("/")[2]
    if source := _SOURCE_NAME.fullmatch(name):
        shown = source["name"]
        return f"<file>{shown[shown.rindex('.') :]}" if shown.startswith("tmp") else shown
    ending = _ENDING.search(name)
    return f"<file>.{ending[1]}" if ending and ending.start() else "<path>"


def _word(match: re.Match[str]) -> str:
    """A word with digits in it: `float32` is a word, `wn017`, `b7s05p2`, `run_12` and `x7Kq9ZpL2mW4` are not."""
    word = match[0]
    if word.isdigit():
        return word
    if _BYTES.fullmatch(word):
        return "<n>"
    groups = _DIGITS.findall(word)
    if len(word) >= 12 and len(groups) >= 3 and "_" not in word:
        return "<n>"
    if len(groups) > 1 or len(groups[0]) > 2 or _NODE_WORD.match(word) or f"_{groups[0]}" in word:
        return _DIGITS.sub("<n>", word)
    return _kept(word)


Put = str | Callable[[re.Match[str]], str]

_STEPS: tuple[tuple[re.Pattern[str], Put], ...] = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (r"(?:\x1b|\\x1b)\[[0-9;]{0,20}[A-Za-z]", ""),
        (
            r"(?<![\w+.-])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,15})://(?P<rest>[^\s'\"`<>()\[\]{}]{1,800})",
            _url,
        ),
        (
            r"(?<!\w)(?P<quote>['\"`])(?P<path>(?:~?/|\.{1,2}/)[^'\"`]{1,500})['\"`]",
            _quoted_path,
        ),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<uuid>"),
        (rf"(?<![\w./-])\d{{4}}[-/.]\d{{2}}[-/.]\d{{2}}(?:[T _,-]{{0,2}}{_CLOCK})?(?![\d/])", "<time>"),
        (r"(?<!\w)\d{8}[T_-]\d{6}Z?(?!\w)", "<time>"),
        (
            rf"\b(?:{_DAY},? )?(?:\d{{1,2}}[ -])?{_MONTH}[ -]{{1,2}}\d{{1,2}}(?:,? {_CLOCK})?(?:,? \d{{4}})?\b",
            "<time>",
        ),
        (rf"(?<!\w)(?:{_DAY},? )?\d{{1,2}}[ /-]{_MONTH}[ /-]\d{{4}}(?:[ :]{_CLOCK})?", "<time>"),
        (rf"(?<![\w/.])\d{{1,2}}([/.])\d{{1,2}}\1\d{{4}}(?:,? {_CLOCK})?(?![\w/])", "<time>"),
        (rf"(?<![\w:.]){_CLOCK}(?![\w:])", "<time>"),
        (r"[\w.+-]{1,64}@[A-Za-z0-9][\w-]{0,62}(?:\.[\w-]{1,62}){0,6}", "<user>@<host>"),
        (
            r"(?:/(?:DC|O|OU|C|CN|L|ST|UID|emailAddress)=[\w.@:-]{1,80}(?: [A-Z0-9][\w.-]{0,40}){0,4}){2,12}",
            "<user>",
        ),
        (
            r"\b((?:user(?:name)?|owner|uid|login|account|logname)(?:\s?=\s?|\s+(?=['\"`]))['\"`]?)[\w.@-]{1,64}",
            r"\1<user>",
        ),
        (r"\b((?:for|by|as) user )(?!name)[\w.@-]{1,64}", r"\1<user>"),
        (r"(?<![\w.-])user\.[A-Za-z][\w-]{0,40}", "user.<user>"),
        (r"\b((?:host(?:name)?|node)(?:\s?=\s?|\s+(?=['\"`]))['\"`]?)[\w.-]{1,200}", r"\1<host>"),
        (
            r"(?<![\w<>/.~-])(?P<path>(?:~[\w-]{0,64}|\.{1,2})?/[^\s:;,'\"`<>()\[\]{}|=*?&]{1,800}(?:<(?:path|file)>[\w.]*)?)",
            _path,
        ),
        (r"(?<![\w<>/.~@:-])(?P<path>[\w.+@-]{1,200}(?:/[\w.+@-]{1,200}){1,20})(?![\w/])", _relative),
        (
            rf"(?<![\w.@-])(?:(?:{_LABEL}){{1,6}}(?:{_GENERIC})|(?:{_LABEL}){{2,6}}(?:{_COUNTRY}))(?![\w-]|\.\w)",
            "<host>",
        ),
        (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", "<host>"),
        (
            r"(?<![\w:])(?=[0-9a-fA-F:]{0,40}\d)(?:[0-9a-fA-F]{1,4}:){2,7}:?[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,5}(?![\w:])",
            "<host>",
        ),
        (
            rf"(?<![\w.>/+-])[\w+-]{{1,120}}+(?:\.[\w+-]{{1,120}}+){{0,12}}?\.(?P<end>{_DATA})(?:\.\d+)*(?![\w-]|\.\w)",
            r"<file>.\g<end>",
        ),
        (
            rf"(?<![\w.>/+-])([\w+-]{{1,120}}+(?:\.[\w+-]{{1,120}}+){{0,8}}?\.(?:{_SOURCES}))(?:\.\d+)+(?![\w-]|\.\w)",
            r"\1",
        ),
        (rf"(?<![\w.]){_NUMBER} ?(?:[kKMGTP]i?[Bb]?|[kKMGTP]?[Bb]ytes?|B)\b", "<size>"),
        (
            rf"(?<![\w.])(?:{_NUMBER} |[-+]?\d{{1,5}}(?:\.\d+)?)"
            r"(?:[nmu]?s|secs?|seconds?|milliseconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\b",
            "<length>",
        ),
        (r"\b0[xX][0-9a-fA-F]+", "<n>"),
        (r"(?<![\w])(?=[0-9a-fA-F]{0,63}\d)[0-9a-fA-F]{8,64}(?![\w])", "<n>"),
        (
            r"(?i)\b(?:(?:errno|codes?|status|signal|sig|rc|retval|(?:error|exit)_?code|http(?:/\d(?:\.\d)?)?|"
            r"exit(?:ed)?(?: with)?|returned)\W{1,3}|err(?:or|no)?(?: |#|=| ?\(|: \[))\d{1,4}\b(?![.:/]?\d)|"
            r"\bfailed ?[:=] ?\d{1,4}$|error: \d{1,4}(?=$| \(| client| server)|\w: \(\d{1,3}\) |\bORA-\d{4,6}\b",
            _keep,
        ),
        (r"(?<!\w)[^\W\d]*+\d\w*+", _word),
        (rf"(?<![\d{_KEEP}]){_NUMBER}(?!{_KEEP})", "<n>"),
        (r"<n>(?:[.,]|, )(?=<n>)|<n>(?:, ?| )(?=<n>)", ""),
        (r"^(?:[\[(]?<time>[\])]?[\s|:,;-]{0,5}){1,3}", ""),
    )
)
