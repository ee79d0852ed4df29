"""Which file a name means, what a name may not do, and how long a loaded workflow is remembered."""

from __future__ import annotations

import json
import os
import threading
import timeit
from pathlib import Path

import pytest

from awf_core.engine.steps import builtin_step_types
from awf_core.errors import UsageError, WorkflowNotFound
from awf_core.lang.catalogue import SETTLED_AFTER_S, Catalogue
from awf_core.lang.discovery import Discovery, Found
from awf_core.lang.names import InvalidWorkflowName
from awf_core.lang.problems import LoadError

CASES = json.loads((Path(__file__).parent / "corpus" / "workflows.json").read_text(encoding="utf-8"))
CORPUS = [case for case in CASES if "discovery" in case["features"] or case["id"] == "pack-missing"]
LONG_AGO_S = 1_000_000_000


def workflow_text(name="w", description=""):
    return f"name: {name}\ndescription: {description}\nstates:\n  initial: a\n  a: {{type: terminal}}\n"


def write(path, text=None, *, changed_s=LONG_AGO_S):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(workflow_text(description=str(path)) if text is None else text)
    os.utime(path, (changed_s, changed_s))
    return path


@pytest.fixture
def project(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    return tmp_path


def discovery_of(project, **env):
    return Discovery(project / "work", {"HOME": str(project / "home"), **env})


@pytest.mark.parametrize("case", CORPUS, ids=[case["id"] for case in CORPUS])
def test_workflows_are_found_where_the_original_finds_them(case, project):
    for base, files in (("work", case["files"]), ("home", case.get("home_files", {}))):
        for name, text in files.items():
            write(project / base / name, text)
    env = {name: value.replace("$WORK", str(project / "work")) for name, value in case.get("env", {}).items()}
    catalogue = Catalogue(discovery_of(project, **env), builtin_step_types())
    name = case["workflow"].replace("$WORK", str(project / "work"))
    expected = case["expected"]

    if expected.get("phase") != "load":
        command = catalogue.get(name, allow_paths=True).states["a"].spec.command.text
        assert command.removeprefix("echo ") == expected["states"]["a"]["Output"].strip()
        return
    with pytest.raises((WorkflowNotFound, InvalidWorkflowName, LoadError)) as caught:
        catalogue.get(name, allow_paths=True)
    assert expected["error"] in caught.value.message
    assert caught.value.exit_code == expected["exit_code"]
    if "error_code" in expected:
        assert caught.value.code == expected["error_code"]


def test_the_directories_are_searched_in_order(project):
    work, home = project / "work", project / "home"

    assert discovery_of(project).directories() == (work / ".awf/workflows", home / ".config/awf/workflows")
    assert discovery_of(project, AWF_WORKFLOWS_PATH="flows", XDG_CONFIG_HOME="/xdg").directories() == (
        work / "flows",
        work / ".awf/workflows",
        Path("/xdg/awf/workflows"),
    )
    assert discovery_of(project, AWF_CONFIG_HOME="/conf", XDG_CONFIG_HOME="/xdg").directories()[1] == Path(
        "/conf/workflows"
    )
    assert Discovery(work, {}).directories() == (work / ".awf/workflows",)


@pytest.mark.parametrize("name", ["w", "w.yaml"])
def test_the_earlier_directory_wins(project, name):
    late = write(project / "home/.config/awf/workflows/w.yaml")
    discovery = discovery_of(project)
    assert discovery.resolve(name, allow_paths=False) == late

    early = write(project / "work/.awf/workflows/w.yaml")

    assert discovery.resolve(name, allow_paths=False) == early


def test_a_directory_with_the_name_of_a_workflow_is_passed_over(project):
    (project / "work/.awf/workflows/w.yaml").mkdir(parents=True)
    late = write(project / "home/.config/awf/workflows/w.yaml")

    assert discovery_of(project).resolve("w", allow_paths=False) == late


def test_a_missing_workflow_is_reported_with_the_closest_name_and_the_directories_searched(project):
    write(project / "work/.awf/workflows/analyze-code.yaml")

    with pytest.raises(WorkflowNotFound) as caught:
        discovery_of(project).resolve("analyse-code", allow_paths=False)

    assert caught.value.message == "workflow not found: analyse-code"
    assert caught.value.code == "USER.FACADE.WORKFLOW_NOT_FOUND"
    assert caught.value.hint == (
        f"Did you mean 'analyze-code'? Searched: {project}/work/.awf/workflows, {project}/home/.config/awf/workflows."
    )


OUTSIDE = [
    "../x", "..", ".", "/etc/passwd", "a/../../x", "./x", "a/b/c", "x/", "/", "..\\x", ".hidden", ".yaml", "x..y", "Pack/x", "a//b",
    "", "a\0b", "a\nb", "a\x1bb", "a\u2028b", "\ud800", "x" * 201, "é" * 101, "a/" + "b" * 400,
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_never_leads_out_of_the_workflow_directories(project, name):
    write(project / "work/.awf/x.yaml")
    write(project / "work/x.yaml")

    with pytest.raises(InvalidWorkflowName) as caught:
        discovery_of(project).resolve(name, allow_paths=False)

    assert isinstance(caught.value, UsageError)
    assert caught.value.code in ("USER.FACADE.IDENTIFIER_MALFORMED", "USER.FACADE.IDENTIFIER_EMPTY")
    assert len(caught.value.message) < 250
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "workflow name is empty"),
        ("x" * 201, "is longer than the 200 bytes allowed"),
        ("a\nb", 'workflow name "a\\nb" contains a control character'),
        ("..", "invalid workflow name \"..\": it must not be empty, begin with '.', or contain '..' or '\\'"),
        ("../x", 'pack name: invalid name "..": must match ^[a-z][a-z0-9-]*$'),
        ("pack/X", 'workflow name: invalid name "X": must match ^[a-z][a-z0-9-]*$'),
    ],
)
def test_a_refused_name_is_reported_with_the_reason(project, name, message):
    with pytest.raises(InvalidWorkflowName) as caught:
        discovery_of(project).resolve(name, allow_paths=False)

    assert message in caught.value.message


@pytest.mark.parametrize("name", ["größe", "My Flow", "a.b", "x_1", "-x", "x" * 200])
def test_ordinary_names_of_files_are_accepted(project, name):
    path = write(project / f"work/.awf/workflows/{name}.yaml")

    assert discovery_of(project).resolve(name, allow_paths=False) == path


def test_a_path_is_taken_only_where_paths_are_allowed(project):
    path = write(project / "flows/x.yaml")
    inside = write(project / "work/w")
    discovery = discovery_of(project)

    assert discovery.resolve(str(path), allow_paths=True) == path
    assert discovery.resolve("../flows/x.yaml", allow_paths=True).samefile(path)
    assert discovery.resolve("w", allow_paths=True) == inside
    with pytest.raises(InvalidWorkflowName):
        discovery.resolve(str(path), allow_paths=False)
    with pytest.raises(WorkflowNotFound):
        discovery.resolve("w", allow_paths=False)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\ud800", "../gone.yaml"])
def test_odd_paths_are_refused_where_paths_are_allowed(project, name):
    with pytest.raises(InvalidWorkflowName):
        discovery_of(project).resolve(name, allow_paths=True)


def test_a_link_out_of_its_directory_is_refused_for_messages(project):
    secret = write(project / "secret.yaml")
    link = project / "work/.awf/workflows/w.yaml"
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    discovery = discovery_of(project)

    with pytest.raises(InvalidWorkflowName) as caught:
        discovery.resolve("w", allow_paths=False)

    assert caught.value.message == f"workflow file {link} is a link that leads out of its directory"
    assert caught.value.hint == "Copy the file there, or link the whole directory."
    assert discovery.resolve("w", allow_paths=True) == link


def test_links_as_mounted_configuration_has_them_are_followed(project):
    folder = project / "work/.awf/workflows"
    write(folder / "..2024/w.yaml")
    (folder / "..data").symlink_to("..2024")
    (folder / "w.yaml").symlink_to("..data/w.yaml")

    assert discovery_of(project).resolve("w", allow_paths=False) == folder / "w.yaml"


def test_a_linked_workflow_directory_is_followed(project):
    write(project / "elsewhere/w.yaml")
    (project / "work/.awf").mkdir()
    (project / "work/.awf/workflows").symlink_to(project / "elsewhere")

    assert discovery_of(project).resolve("w", allow_paths=False).samefile(project / "elsewhere/w.yaml")


def test_the_list_has_each_name_once_and_only_what_can_be_run(project):
    local = project / "work/.awf/workflows"
    both = write(local / "both.yaml")
    write(project / "home/.config/awf/workflows/both.yaml")
    late = write(project / "home/.config/awf/workflows/late.yaml")
    write(local / "other.yml")
    write(local / ".hidden.yaml")
    (local / "folder.yaml").mkdir()

    found = discovery_of(project).list()

    assert found == [
        Found(name="both", path=both, directory=local),
        Found(name="late", path=late, directory=late.parent),
    ]


def test_a_pack_runs_what_its_manifest_lists(project):
    pack = project / "home/.local/share/awf/workflow-packs/awf-workflow-demo"
    write(pack / "manifest.yaml", "name: demo\nworkflows: [main]\n")
    main = write(pack / "workflows/main.yaml")
    write(pack / "workflows/private.yaml")
    discovery = discovery_of(project)

    assert discovery.resolve("demo/main", allow_paths=False) == main
    assert discovery.resolve("awf-workflow-demo/main.yaml", allow_paths=True) == main
    with pytest.raises(WorkflowNotFound) as caught:
        discovery.resolve("demo/private", allow_paths=False)
    assert caught.value.message == 'workflow "private" not found in pack "demo"'
    assert f"{project}/work/.awf/workflow-packs" in caught.value.hint


@pytest.mark.parametrize("manifest", ["workflows: main", "[", "", "workflows: {main: 1}"])
def test_a_pack_without_a_usable_manifest_has_no_workflows(project, manifest):
    pack = project / "work/.awf/workflow-packs/demo"
    write(pack / "manifest.yaml", manifest)
    write(pack / "workflows/main.yaml")

    with pytest.raises(WorkflowNotFound, match='workflow "main" not found in pack "demo"'):
        discovery_of(project).resolve("demo/main", allow_paths=False)


def catalogue_of(project, **options):
    return Catalogue(discovery_of(project), builtin_step_types(), **options)


def test_an_unchanged_file_is_loaded_once(project):
    write(project / "work/.awf/workflows/w.yaml")
    catalogue = catalogue_of(project)

    assert catalogue.get("w") is catalogue.get("w")


def test_a_changed_file_is_loaded_again(project):
    path = write(project / "work/.awf/workflows/w.yaml", workflow_text(description="old"))
    catalogue = catalogue_of(project)
    assert catalogue.get("w").description == "old"

    write(path, workflow_text(description="new"), changed_s=LONG_AGO_S + 1)

    assert catalogue.get("w").description == "new"


def test_a_file_replaced_by_another_of_the_same_age_and_size_is_loaded_again(project):
    path = write(project / "work/.awf/workflows/w.yaml", workflow_text(description="old"))
    catalogue = catalogue_of(project)
    assert catalogue.get("w").description == "old"

    write(project / "next.yaml", workflow_text(description="new")).rename(path)

    assert catalogue.get("w").description == "new"


class StoppedClock:
    def __init__(self, now_s):
        self.now_s = now_s

    def now(self):
        return self.now_s

    def monotonic(self):
        return self.now_s


@pytest.mark.parametrize(("age_s", "seen"), [(SETTLED_AFTER_S / 2, "new"), (SETTLED_AFTER_S * 2, "old")])
def test_a_file_just_written_is_not_trusted_to_stay(project, age_s, seen):
    path = write(project / "work/.awf/workflows/w.yaml", workflow_text(description="old"))
    catalogue = catalogue_of(project, clock=StoppedClock(LONG_AGO_S + age_s))
    assert catalogue.get("w").description == "old"

    write(path, workflow_text(description="new"))

    assert catalogue.get("w").description == seen


def test_a_workflow_added_later_is_found_at_once_and_one_in_front_wins(project):
    catalogue = catalogue_of(project)
    with pytest.raises(WorkflowNotFound):
        catalogue.get("w")

    late = write(project / "home/.config/awf/workflows/w.yaml")
    assert catalogue.get("w").source == late
    early = write(project / "work/.awf/workflows/w.yaml")

    assert catalogue.get("w").source == early
    early.unlink()
    assert catalogue.get("w").source == late
    late.unlink()
    with pytest.raises(WorkflowNotFound):
        catalogue.get("w")


def test_a_broken_file_is_reported_each_time_and_read_again_when_fixed(project):
    path = write(project / "work/.awf/workflows/w.yaml", "name: [")
    catalogue = catalogue_of(project)

    errors = []
    for _ in range(2):
        with pytest.raises(LoadError, match="did not find expected node content") as caught:
            catalogue.get("w")
        errors.append(caught.value)

    assert errors[0] is not errors[1]
    write(path, changed_s=LONG_AGO_S + 1)
    assert catalogue.get("w").name == "w"


def test_a_name_taken_as_a_path_does_not_leak_to_those_who_may_not(project):
    write(project / "work/w", workflow_text(description="path"))
    write(project / "work/.awf/workflows/w.yaml", workflow_text(description="named"))
    catalogue = catalogue_of(project)

    assert catalogue.get("w", allow_paths=True).description == "path"
    assert catalogue.get("w").description == "named"


def test_only_so_many_workflows_are_remembered(project):
    for number in range(4):
        write(project / f"work/.awf/workflows/w{number}.yaml")
    catalogue = catalogue_of(project, max_entries=2)
    loaded = [catalogue.get(f"w{number}") for number in range(4)]

    assert catalogue.get("w3") is loaded[3]
    assert catalogue.get("w0") is not loaded[0]


def test_many_threads_get_one_workflow(project):
    write(project / "work/.awf/workflows/w.yaml")
    catalogue = catalogue_of(project)
    together = threading.Barrier(8)
    got = []

    def ask():
        together.wait(5)
        got.append(catalogue.get("w"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert len(got) == 8
    assert len({id(workflow) for workflow in got}) == 1


def test_a_hit_costs_microseconds(project):
    write(project / "work/.awf/workflows/w.yaml")
    catalogue = catalogue_of(project)
    catalogue.get("w")

    best_s = min(timeit.repeat(lambda: catalogue.get("w"), number=200, repeat=5)) / 200

    assert best_s < 100e-6
