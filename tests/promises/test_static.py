"""What the code does not do anywhere: run text, unpickle, start a shell, speak to a network, change its host's settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

FILES = sorted([*ROOT.glob("lungscan/**/*.py"), *ROOT.glob("kernels/*.py"), *ROOT.glob("engines/*.py")])

RUNS_TEXT = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "tempfile.mktemp"}
UNPICKLES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
SPEAKS = {"socket", "ssl", "http", "urllib.request", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "xmlrpc"}
REPORTS = {"openvino", "onnxruntime", "nncf"}
"""Packages that tell their makers of being imported."""

CHANGES_ITS_HOST = {
    *("logging.basicConfig", "logging.disable", "logging.captureWarnings", "logging.info", "logging.warning"),
    *("logging.error", "logging.debug", "logging.exception", "warnings.filterwarnings", "warnings.simplefilter"),
    *("signal.signal", "signal.alarm", "signal.setitimer", "os.chdir", "os.umask", "os.putenv", "os.environ.setdefault"),
    *(
        "os.environ.update",
        "locale.setlocale",
        "sys.setrecursionlimit",
        "np.seterr",
        "np.set_printoptions",
        "np.random.seed",
    ),
    *("random.seed", "torch.manual_seed", "torch.set_num_threads", "torch.set_default_dtype", "torch.set_default_device"),
    *("faulthandler.enable", "atexit.register", "multiprocessing.set_start_method", "resource.setrlimit"),
}
PROGRAMS = ("lungscan/training/", "lungscan/recipe/")
"""A training is the work of its whole process: it seeds it, and shares out its threads."""

IN_PROCESSES_OF_ITS_OWN = {
    ("lungscan/readers/apart_child.py", "signal.alarm"),
    ("lungscan/readers/apart_child.py", "warnings.simplefilter"),
    ("lungscan/readers/apart_child.py", "resource.setrlimit"),
    ("lungscan/batch/ray.py", "os.chdir"),  # a worker of the cluster
}
SAID = {
    ("lungscan/batch/ray.py", "os.environ.setdefault"),  # keeps Ray from reporting its use
    ("kernels/triton_support.py", "os.environ.setdefault"),  # how Triton rounds, before it is loaded, where nobody said it
    ("engines/torch.py", "torch.backends.cudnn.allow_tf32"),  # on a GPU, where fp32 was asked for
}


def name(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute."""
    if isinstance(node, ast.Attribute):
        return f"{name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def where(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def trees(file: Path) -> Iterator[ast.Module]:
    """A file's code, and what it holds as text to be run by a child process."""
    tree = parsed(file)
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\bimport \w", node.value):
            try:
                yield ast.parse(re.sub(r"\{\w+(!r)?\}", "0", node.value))
            except SyntaxError:
                continue


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield name(node.func), node


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(imported: str, packages: set[str]) -> bool:
    return any(imported == package or imported.startswith(f"{package}.") for package in packages)


def said(call: ast.Call, keyword: str) -> object:
    """The constant that a call gives to a keyword."""
    given = [k.value for k in call.keywords if k.arg == keyword]
    return given[0].value if given and isinstance(given[0], ast.Constant) else None


def test_no_text_is_run() -> None:
    wrong = []
    for file in FILES:
        for called, call in (found for tree in trees(file) for found in calls(tree)):
            wrong += [(where(file), called)] if called in RUNS_TEXT or said(call, "shell") not in (None, False) else []
            if called in ("subprocess.run", "subprocess.Popen"):
                assert isinstance(call.args[0], ast.List | ast.Name), "a program and its words, never a line for a shell"
    assert wrong == []


def test_nothing_is_unpickled() -> None:
    """But for the import of the book's checkpoints, in a child process, as tensors alone."""
    wrong = []
    for file in FILES:
        for k, tree in enumerate(trees(file)):
            wrong += [(where(file), i) for i in imports(tree) if within(i, UNPICKLES)]
            for called, call in calls(tree):
                if called == "np.load" and said(call, "allow_pickle") is not False:
                    wrong.append((where(file), called))
                elif called == "torch.load":
                    assert (file.name, k > 0, said(call, "weights_only")) == ("book.py", True, True)
    assert wrong == []


def test_nothing_speaks_to_a_network() -> None:
    """But for a cluster that is asked for: `--ray ADDRESS` is knocked at."""
    found = {(where(file), i) for file in FILES for tree in trees(file) for i in imports(tree) if within(i, SPEAKS)}
    assert found == {("lungscan/batch/ray.py", "socket")}


def test_what_reports_its_use_is_loaded_silenced() -> None:
    for file in FILES:
        blocks = [n for n in ast.walk(parsed(file)) if isinstance(n, ast.With) and "unreported()" in ast.unparse(n.items[0])]
        silenced = [i for block in blocks for i in imports(block)]
        assert [i for i in imports(parsed(file)) if within(i, REPORTS)] == [i for i in silenced if within(i, REPORTS)], file


def test_no_setting_of_the_host_program_is_changed() -> None:
    wrong = []
    for file in (f for f in FILES if not where(f).startswith(PROGRAMS)):
        nodes = list(ast.walk(parsed(file)))
        blocks = [n for n in nodes if isinstance(n, ast.With) and "catch_warnings(" in ast.unparse(n.items[0])]
        caught = {id(inner) for block in blocks for inner in ast.walk(block)}
        for called, call in calls(parsed(file)):
            if called in CHANGES_ITS_HOST and id(call) not in caught:
                wrong.append((where(file), called))
            assert called != "logging.getLogger" or call.args, f"{file}: the root logger is the host's"
        for node in nodes:
            targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else ()
            written = [ast.unparse(target) for target in targets]
            wrong += [(where(file), to) for to in written if to.startswith(("os.environ[", "torch.backends."))]
    assert set(wrong) == IN_PROCESSES_OF_ITS_OWN | SAID


def test_no_template_trusts_a_text() -> None:
    for template in ROOT.glob("lungscan/*/page/*.j2"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|<script", template.read_text()), template.name
