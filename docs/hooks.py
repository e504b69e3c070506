"""What mkdocs makes at build time: the reference, from descriptors and help texts, and pictures as inline SVG."""

import re
from pathlib import Path

from recbench import registry
from recbench.cli.describe import group_options, known_differences, option_rows
from recbench.data.catalog import datasets
from recbench.interfaces import KINDS, PLURALS, BackbonePlugin
from recbench.spec.llm import options_of

DOCS = Path(__file__).parent
HELP = DOCS.parent / "tests/cli/help.txt"
OURS = "recbench-toolkit"


def on_files(files, config):
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown, **kwargs):
    return re.sub(r"!\[[^]]*\]\((pictures/\w+\.svg)\)", _inline, markdown).replace("<!-- papers -->", papers())


def on_page_content(html, **kwargs):
    return re.sub(r":\w+:<code>~?([\w.]+\.)?", "<code>", html)  # roles of reStructuredText in docstrings


def _inline(found):
    # inside the page, the text of a picture takes the page's colour; by itself it follows the reader's system
    return re.sub(r"<style>.*?</style>\n", "", (DOCS / found[1]).read_text(encoding="utf-8"))


def pages():
    """Name of a page -> Markdown."""
    found = {plural: _methods(kind, plural) for kind, plural in zip(KINDS, PLURALS, strict=True)}
    groups = {name: group_options(name) for name in ("train", "evaluate", "machine")}
    groups |= {f"llm ({name})": options_of(name) for name in ("tiny", "pretrained")}
    parts = [f"## {name}\n\n{_options(options, name.split()[0])}" for name, options in groups.items()]
    where = "Options of methods are on the pages of the methods. `(preset)`: the preset decides."
    found["options"] = "\n\n".join(["# Options", where, *parts])
    entries = (f"## {n}\n\n{e.title}.\n\n{e.preparation}\n\nLicence: {e.licence}" for n, e in datasets().items())
    found["datasets"] = "\n\n".join(["# Data sets", *entries])
    helps = re.split(r"^\$ (recbench.*) --help\n", HELP.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    texts = (f"## {n}\n\n```text\n{t.strip()}\n```" for n, t in zip(helps[::2], helps[1::2], strict=True))
    found["commands"] = "\n\n".join(["# Commands", *texts])
    return found


def papers():
    """The methods by paper."""
    found = {}
    for kind in KINDS:
        for name, plugin in _ours(kind):
            if plugin.paper:
                found.setdefault(plugin.paper, []).append(f"`{name}`")
    rows = sorted(found.items(), key=lambda row: "MSL, SIGIR" not in row[0])
    return _table(("methods", "paper"), [(", ".join(names), paper) for paper, names in rows])


def _ours(kind):
    named = ((name, registry.get(kind, name)) for name in registry.names(kind))
    return [(name, plugin) for name, plugin in named if registry.distribution(kind, name)[0] == OURS]


def _methods(kind, title):
    parts = [f"# {title.capitalize()}"]
    for name, plugin in _ours(kind):
        parts += [f"## {name}", f"{plugin.summary[0].upper()}{plugin.summary[1:]}."]
        parts += [f"Paper: {plugin.paper}"] if plugin.paper else []
        if isinstance(plugin, BackbonePlugin):
            loss = f"default loss `{plugin.default_loss}`, " if plugin.default_loss else ""
            parts += [f"{loss}default decoder `{plugin.default_decoder}`".capitalize()]
        if plugin.options.model_fields:
            parts += [_options(plugin.options, "dataset" if kind == "source" else kind)]
        if differences := known_differences(plugin):
            paragraphs = differences.replace("Known differences", "**Known differences**", 1).split("\n\n")
            parts += [f"```text\n{part}\n```" if part.startswith("==") else part for part in paragraphs]
    return "\n\n".join(parts)


def _options(options, group):
    rows = [
        (*(f"`{text}`" for text in (f"{group}.{name}", *more)), words) for name, *more, words in option_rows(options)
    ]
    return _table(("option", "type", "default", "what it does"), rows)


def _table(header, rows):
    lines = [header, ["---"] * len(header), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text):
    return text if "`" in text else text.replace("|", "\\|")
