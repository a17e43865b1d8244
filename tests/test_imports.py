"""The architecture, held by a test: imports point one way, and some are kept to one place.

The design's line: tap, cli -> assembly -> web -> engine -> scenarios -> timing, faults, dialects
-> model. Imports under ``if TYPE_CHECKING`` are none: they never happen.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

import fakellm
import fakellm.testing
from tests.processes import TIMEOUT, environment

PACKAGE = Path(fakellm.__file__).parent

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "lazy model recent spelling",
        "interfaces",
        "dialects timing",
        "faults",
        "scenarios",
        "journal",
        "metrics",
        "engine",
        "config listening web",
        "logs assembly",
        "tap",
        "commands",
        "cli",
        "__main__",
        "testing",
    )
)
"""The lowest first. A layer imports what is lower, and what is in the same folder, and no more."""

PURE = {
    "lazy",
    "model",
    "recent",
    "spelling",
    "interfaces",
    "dialects",
    "scenarios",
    "timing",
    "faults",
    "config",
}
"""They read no clock, talk to no network and draw no chance of their own."""

IMPURE_MODULES = {
    "asyncio", "http", "klein", "logging", "multiprocessing", "secrets", "select", "selectors",
    "signal", "socket", "subprocess", "tempfile", "threading", "time", "treq", "twisted",
    "urllib.request", "werkzeug",
}  # fmt: skip
SCENARIOS_MAY_IMPORT = {
    "twisted.internet.defer", "twisted.logger", "twisted.python.failure",
}  # fmt: skip
"""As functions of users may answer later, or do wrong, of which the log has to tell."""

GUARDS = {("fakellm.scenarios.templating.budget", "time.perf_counter")}
"""A clock that no answer depends on: it ends templates that run away."""

IMPURE_CALLS = re.compile(
    r"(.*\.)?((datetime|date)\.(now|today|utcnow)|uuid\.(uuid1|uuid4|getnode)|os\.urandom)"
)

SCHEDULERS = {
    "callLater", "deferLater", "LoopingCall", "Cooperator", "cooperate", "coiterate", "addTimeout",
    "timeoutDeferred", "sleep",
}  # fmt: skip
"""All the ways to come back later."""


class Import(Struct, frozen=True, kw_only=True):
    """An import: which module, by whom, and whether it happens as soon as the importer is."""

    importer: str
    module: str
    at_once: bool

    def __str__(self) -> str:
        return f"{self.importer} imports {self.module}"


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of ours, parsed, by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_bytes(), str(path))
    return found


def imports_of(name: str, body: Iterable[ast.AST], *, at_once: bool = True) -> Iterator[Import]:
    """What a piece of a module imports, by full names: ``from a import b`` may import ``a.b``."""
    for node in body:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    yield Import(importer=name, module=alias.name, at_once=at_once)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                assert level == 0, f"{name} has a relative import"
                for alias in aliases:
                    yield Import(importer=name, module=f"{module}.{alias.name}", at_once=at_once)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                yield from imports_of(name, otherwise, at_once=at_once)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports_of(name, ast.iter_child_nodes(node), at_once=False)
            case _:
                yield from imports_of(name, ast.iter_child_nodes(node), at_once=at_once)


def within(module: str, *packages: str) -> bool:
    """Whether a full name is that of one of the packages, or of something in them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def part(module: str) -> str:
    """Which part of ours a module is in: ``web`` for ``fakellm.web.wire``."""
    return module.split(".")[1] if "." in module else ""


def rank(name: str) -> int:
    """How high a part stands."""
    for height, layer in enumerate(LAYERS):
        if name in layer:
            return height
    raise AssertionError(f"fakellm/{name} has no place in LAYERS yet: give it one")


def is_lazy(found: Import) -> bool:
    """Whether it is about the package itself, which imports nothing before it is asked to."""
    return found.module in {"fakellm", "fakellm.__version__"} or part(found.importer) == ""


@cache
def imports() -> list[Import]:
    """All imports of ours."""
    return [found for name, tree in sources().items() for found in imports_of(name, [tree])]


def names_in(tree: ast.AST) -> set[str]:
    """Every name and attribute that a module uses or imports."""
    nodes = [*ast.walk(tree)]
    return {
        *(node.attr for node in nodes if isinstance(node, ast.Attribute)),
        *(node.id for node in nodes if isinstance(node, ast.Name)),
        *(node.name for node in nodes if isinstance(node, ast.alias)),
    }


class ImportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.imports = imports()
        self.ours = [
            found
            for found in self.imports
            if within(found.module, "fakellm") and not is_lazy(found)
        ]

    def test_imports_point_one_way(self) -> None:
        wrong = [
            str(found)
            for found in self.ours
            if part(found.importer) != part(found.module)
            and rank(part(found.importer)) <= rank(part(found.module))
        ]
        self.assertEqual(wrong, [])

    def test_the_model_imports_nothing_of_ours_but_the_model(self) -> None:
        found = {part(each.module) for each in self.ours if part(each.importer) == "model"}
        self.assertEqual(found, {"model"})

    def test_the_package_itself_imports_nothing_of_ours_before_it_is_asked_to(self) -> None:
        found = [str(each) for each in self.imports if each.importer == "fakellm" and each.at_once]
        self.assertEqual(
            found, ["fakellm imports typing.TYPE_CHECKING", "fakellm imports typing.Any"]
        )

    def test_nothing_imports_what_is_for_tests(self) -> None:
        wrong = [
            str(found)
            for found in self.imports
            if within(found.module, "fakellm.testing", "tests", "twisted.trial", "hypothesis")
            and part(found.importer) != "testing"
        ]
        self.assertEqual(wrong, [])

    def test_only_web_imports_klein(self) -> None:
        importers = {
            part(found.importer)
            for found in self.imports
            if within(found.module, "klein", "werkzeug")
        }
        self.assertEqual(importers, {"web"})

    def test_only_web_and_what_joins_the_parts_know_http(self) -> None:
        importers = {
            part(found.importer) for found in self.imports if within(found.module, "twisted.web")
        }
        self.assertEqual(importers, {"web", "assembly", "testing"})

    def test_only_the_engine_schedules(self) -> None:
        schedulers = {part(name) for name, tree in sources().items() if SCHEDULERS & names_in(tree)}
        # what is for tests is on the other side, and waits for processes
        self.assertEqual(schedulers - {"testing"}, {"engine"})

    def test_no_import_installs_a_reactor(self) -> None:
        """Only what starts a server imports it, and no sooner than it does."""
        reactor = [
            found for found in self.imports if within(found.module, "twisted.internet.reactor")
        ]
        self.assertEqual([str(found) for found in reactor if found.at_once], [])
        importers = {part(found.importer) for found in reactor}
        self.assertEqual(importers, {"assembly", "tap", "cli", "testing"})

    def test_pure_parts_import_nothing_that_is_not(self) -> None:
        wrong = [
            str(found)
            for found in self.imports
            if part(found.importer) in PURE
            and within(found.module, *IMPURE_MODULES)
            and not (
                part(found.importer) == "scenarios" and within(found.module, *SCENARIOS_MAY_IMPORT)
            )
            and (found.importer, found.module) not in GUARDS
        ]
        self.assertEqual(wrong, [])

    def test_pure_parts_ask_for_no_time_and_no_identity(self) -> None:
        used = {
            (name, ast.unparse(node))
            for name, tree in sources().items()
            for node in ast.walk(tree)
            if part(name) in PURE and isinstance(node, ast.Attribute)
        } | {
            (found.importer, found.module) for found in self.imports if part(found.importer) in PURE
        }
        self.assertEqual({each for each in used if IMPURE_CALLS.fullmatch(each[1])}, set())

    def test_chance_is_seeded(self) -> None:
        """Of the module ``random``, only the class is used, which gets its seed from its maker."""
        used = {
            (name, node.attr)
            for name, tree in sources().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "random"
        }
        self.assertEqual(
            {(name, attribute) for name, attribute in used if attribute != "Random"}, set()
        )
        imported = {found.module for found in self.imports if within(found.module, "random")}
        self.assertTrue(imported <= {"random", "random.Random"}, imported)

    def test_no_reader_of_this_test_is_fooled(self) -> None:
        """Imports in functions, under conditions and of modules are seen for what they are."""
        tree = ast.parse(
            "import a.b\n"
            "from c import d\n"
            "if TYPE_CHECKING:\n    import never\nelse:\n    import other\n"
            "def f():\n    from twisted.internet import reactor\n"
            "class C:\n    import e\n"
        )
        self.assertEqual(
            [(found.module, found.at_once) for found in imports_of("m", [tree])],
            [
                ("a.b", True),
                ("c.d", True),
                ("other", True),
                ("twisted.internet.reactor", False),
                ("e", True),
            ],
        )


class ImportingTests(SynchronousTestCase):
    """What importing really does, in a fresh interpreter."""

    def assert_imports_little(self, *modules: str) -> None:
        heavy = (
            "klein",
            "openai",
            "prometheus_client",
            "treq",
            "twisted.internet.reactor",
            "twisted.web",
            "werkzeug",
        )
        script = "\n".join(
            (
                "import sys",
                *(f"import {module}" for module in modules),
                f"print(*sorted(set({heavy!r}) & set(sys.modules)))",
            )
        )
        ended = subprocess.run(
            (sys.executable, "-c", script),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual((ended.returncode, ended.stdout.strip(), ended.stderr), (0, "", ""))

    def test_importing_fakellm_installs_no_reactor_and_imports_no_klein(self) -> None:
        self.assert_imports_little("fakellm", "fakellm.config", "fakellm.dialects.registry")

    def test_importing_what_twistd_and_the_command_need_installs_no_reactor(self) -> None:
        self.assert_imports_little("fakellm.tap", "fakellm.cli", "twisted.plugins.fakellm_plugin")

    def test_importing_what_tests_need_installs_no_reactor(self) -> None:
        modules = ("", ".client", ".processes", ".pytest_plugin", ".trial")
        self.assert_imports_little(*(f"fakellm.testing{name}" for name in modules))

    def test_the_public_names_come_on_first_use(self) -> None:
        self.assertEqual(fakellm.Config.__module__, "fakellm.config")
        self.assertEqual(fakellm.FakeLLM.__module__, "fakellm.assembly")
        with self.assertRaisesRegex(AttributeError, "has no attribute 'nonesuch'"):
            fakellm.nonesuch  # noqa: B018 -- asking for it is what is tested
        for name in fakellm.testing.__all__:
            self.assertEqual(getattr(fakellm.testing, name).__name__, name)
        with self.assertRaisesRegex(AttributeError, "has no attribute 'nonesuch'"):
            fakellm.testing.nonesuch  # noqa: B018 -- likewise
