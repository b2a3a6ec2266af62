"""The figures of the pages are those of the records, and the command that fills them in."""

import json
import re
from pathlib import Path

import pytest
from doc_scripts import load_script

from minidann.runtime.errors import InputError

ROOT = Path(__file__).parents[1]

tables = load_script("tables")


# ----------------------------------------------------------------------------------------------
# the pages of this repository

TYPED = re.compile(r"<!-- typed: \S.* -->\s*\Z")
FOUR_DIGITS = re.compile(r"(?<![\d.])\.\d{4}\b")
PROSE = [
    "README.md",
    *(f"docs/{name}.md" for name in ("experiments", "faq", "index", "start")),
    "docs/results/README.md",
    "docs/results/digits.md",
]


def typed(text):
    """A page without what is generated, its code, and the comments that say why one is typed."""
    text = tables.SEGMENT.sub("", text)
    for comment in reversed(list(tables.COMMENT.finditer(text))):
        if figure := tables.place_of(text, comment):
            text = text[: figure.start()] + text[comment.end() :]
    return text


def typed_tables(text):
    """The tables with figures that stand neither in marks nor below a reason."""
    found = re.finditer(r"(?:^ *\|.*\n)+", typed(text), re.MULTILINE)
    return [
        table[0]
        for table in found
        if FOUR_DIGITS.search(table[0]) and not TYPED.search(typed(text)[: table.start()])
    ]


def test_every_table_and_figure_is_what_the_records_give(capsys):
    assert tables.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("page", tables.pages(), ids=lambda page: page.name)
def test_no_table_of_figures_is_typed(page):
    assert typed_tables(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PROSE)
def test_no_accuracy_in_a_sentence_is_typed(page):
    assert FOUR_DIGITS.findall(typed((ROOT / page).read_text(encoding="utf-8"))) == []


def test_a_typed_figure_is_seen():
    head = "| | a |\n| --- | --- |\n"
    assert typed_tables(f"Text.\n\n{head}| row | .1234 |\n")
    assert typed_tables(f"Text.\n\n{head}  | row | .1234<!-- t/r/c -->, .5678 |\n")
    assert not typed_tables(f"<!-- typed: no record -->\n{head}| row | .1234 |\n")
    assert not typed_tables(f"<!-- table: t -->\n{head}| row | .1234 |\n<!-- end -->\n")
    assert FOUR_DIGITS.findall(typed("It is .1234, not .5678<!-- t/r/c -->.\n")) == [".1234"]


def test_all_tables_that_are_declared_can_be_made():
    results = tables.Results(ROOT / "docs/results")
    for name in results.tables:
        assert results.text(name, ROOT / "README.md").strip(), name


def test_tutorial_13_quotes_the_record_of_the_ablation():
    results = tables.Results(ROOT / "docs/results")
    text = (ROOT / "tutorials/13_what_goes_wrong.py").read_text(encoding="utf-8")
    for variant, where in (("best", "with the schedule"), ("lambda 1 throughout", "without")):
        figure = results.figure(f"ablation/{variant}/on-target", "? ± ?").replace("±", "+-")
        assert f"{figure} {where}" in text


# ----------------------------------------------------------------------------------------------
# a small repository

PAGE = """# A page

<!-- table: pairs -->
<!-- end -->

DANN ends at .1<!-- pairs/a-b/dann -->.
"""
DECLARED = """
[sets]
a = "set A"
b = "set B"
[older]
b = "an older B"
[columns.source]
heading = "source only"
where = { method = "source" }
[columns.dann]
heading = "DANN"
where = { method = "dann" }
[columns.target]
heading = "trained on target"
where = { method = "target" }
[columns.loss]
heading = "loss"
metric = "loss"
[tables.pairs]
columns = ["data", "source", "dann", "target", "share", "seeds", "command", "record"]
[[tables.pairs.rows]]
key = "a-b"
label = "A to B"
records = ["one.json"]
pair = "a to b"
"""
LITERATURE = """
[paper]
cite = "A paper, table 1"
"a to b" = { source = 0.5, dann = 0.7, target = 0.9 }
"""


def run(method, seed, right, source="a", target="b", **more):
    """A run that reads so many of 100 images of each target rightly."""
    counts = {name: [[n, 0], [100 - n, 0]] for name, n in right.items()}
    return {
        "source": source,
        "target": target,
        "method": method,
        "seed": seed,
        "steps": 10,
        "seconds": 90.0,
        "source_class": 0.9,
        "target_class": 0.1,
        "confusion": counts,
    } | more


RUNS = [
    run("source", 0, {"b": 40, "c": 10}, target="c"),  # trained once, tested on both
    run("target", 0, {"b": 90}, source="c"),
    *(run("dann", seed, {"b": 60 + seed}) for seed in (1, 0, 2)),
]


def record(runs, commit="0123456789abcdef", program="digits", **options):
    options = {"source": ["a"], "target": ["b"], "recipe": "light", "method": "all"} | options
    environment = {"commit": commit} if commit else {}
    return {
        "program": f"python -m minidann.{program}",
        "options": options | {"out": "runs/x", "jobs": 2, "resume": True, "tested": ["b"]},
        "environment": environment,
        "runs": runs,
    }


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with one page, one table and one record."""
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    folder = tmp_path / "docs/results"
    folder.mkdir(parents=True)
    (tmp_path / "README.md").write_text(PAGE, encoding="utf-8")
    (folder / "tables.toml").write_text(DECLARED)
    (folder / "literature.toml").write_text(LITERATURE)
    (folder / "one.json").write_text(json.dumps(record(RUNS)))
    return tmp_path


def declare(root, more, old="", new=""):
    path = root / "docs/results/tables.toml"
    path.write_text(path.read_text().replace(old, new) + more)


def save(root, name, content):
    (root / "docs/results" / name).write_text(json.dumps(content))


def results(root):
    return tables.Results(root / "docs/results")


def cells(root, name="pairs"):
    """The rows of a table, without its head, by their first cell."""
    lines = results(root).text(name, root / "README.md").splitlines()[2:]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in found if len(row) > 1}


def test_a_page_is_filled_once_and_then_is_what_the_records_give(root, capsys):
    assert tables.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "README.md:3: table pairs",
        "README.md:6: .1 -> .6 (pairs/a-b/dann)",
    ]
    page = (root / "README.md").read_text(encoding="utf-8")
    assert "| A to B | set A; set B | .4000 | .6100 ± .0100 | .9000 | 42 % |" in page
    assert "ends at .6<!-- pairs/a-b/dann -->." in page
    assert tables.main(["--check"]) == 0
    assert capsys.readouterr().out == "Every table and figure is what the records give.\n"


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("ends at .6<", "ends at .7<", "README.md:9: .7 -> .6 (pairs/a-b/dann)\n"),
        ("| .6100 ±", "| .7100 ±", "README.md:3: table pairs\n"),
    ],
)
def test_a_planted_stale_figure_is_found_and_left_as_it_is(root, capsys, old, new, says):
    tables.main([])
    page = root / "README.md"
    stale = page.read_text(encoding="utf-8").replace(old, new)
    page.write_text(stale, encoding="utf-8")
    capsys.readouterr()
    assert tables.main(["--check"]) == 1
    assert capsys.readouterr().out == says and page.read_text(encoding="utf-8") == stale


def test_a_row_says_where_it_is_from(root):
    seeds, command, of = cells(root)["A to B"][-3:]
    assert seeds == "source only 0; DANN 0 to 2; trained on target 0"
    assert command == "`python -m minidann.digits --source a --target b`"
    assert of == "[one.json](docs/results/one.json), at 0123456"


def test_a_network_trained_on_the_source_answers_for_all_that_it_was_tested_on(root):
    declare(root, '[[tables.pairs.rows]]\nkey = "a-c"\nrecords = ["one.json"]\npair = "a to c"\n')
    source, dann, target, share = cells(root)["a-c"][1:5]
    assert source == ".1000" and dann == target == share == "-"
    declare(root, '[[tables.pairs.rows]]\nkey = "d-b"\nrecords = ["one.json"]\npair = "d to b"\n')
    assert cells(root)["d-b"][1:4] == ["-", "-", ".9000"]  # a ceiling serves every source


def test_what_all_rows_have_in_common_stands_below(root):
    declare(root, '[[tables.pairs.rows]]\nkey = "a-c"\nrecords = ["one.json"]\npair = "a to c"\n')
    text = results(root).text("pairs", root / "docs/page.md")
    table, _, below = text.partition("\n\n")
    assert "command" not in table and "seeds" in table and max(map(len, below.split("\n"))) <= 100
    assert " ".join(below.split()) == (
        "In every row: command `python -m minidann.digits --source a --target b`; "
        "record [one.json](results/one.json), at 0123456."
    )


def test_literature_has_a_row_of_its_own(root):
    row = '[[tables.pairs.rows]]\nkey = "p"\nliterature = "paper"\npair = "a to b"\ndata = "theirs"'
    declare(root, row)
    assert cells(root)["p"] == [
        *("theirs", ".5000", ".7000", ".9000", "50 %", "-", "-"),
        "A paper, table 1",
    ]


def test_a_field_can_give_a_row_to_each_of_its_values(root):
    runs = [{"kind": kind, "seed": 0, "steps": 1, "loss": 0.5} for kind in ("x", "y", "z")]
    save(root, "two.json", record(runs))
    declare(
        root,
        '[tables.kinds]\ncolumns = ["loss"]\n[[tables.kinds.rows]]\nrecords = ["two.json"]\n'
        'each = "kind"\nleave_out = ["y"]\n',
    )
    assert cells(root, "kinds") == {"x": [".5000"], "z": [".5000"]}


def test_a_pending_row_waits_for_its_record(root):
    row = '[[tables.pairs.rows]]\nkey = "new"\npair = "a to b"\npending = true\n'
    declare(root, row + 'records = ["new.json", "new-*.json"]\n')
    assert list(cells(root)) == ["A to B"]
    save(root, "new-seed.json", record([run("source", 0, {"c": 1}, source="c", target="c")]))
    assert list(cells(root)) == ["A to B"]  # its record has no run of the pair
    save(root, "new.json", record(RUNS))
    assert cells(root)["new"] == [*cells(root)["A to B"][:-1], cells(root)["new"][-1]]


def test_an_older_record_is_of_older_data(root):
    save(root, "one.json", record(RUNS, commit=None))
    assert cells(root)["A to B"][0] == "set A; an older B"
    assert cells(root)["A to B"][-1].endswith("before commits were recorded")
    save(root, "one.json", record(RUNS[:2]))
    save(root, "old.json", record(RUNS[2:], commit=None))
    declare(root, "", '"one.json"', '"one.json", "old.json"')
    assert cells(root)["A to B"][0] == "set A; set B and an older B"


@pytest.mark.parametrize(
    "text, path, expected",
    [
        (".1", "dann", ".6"),
        (".123", "dann", ".610"),
        ("0", "dann", "1"),
        ("12.3 %", "dann", "61.0 %"),
        ("12%", "share", "42%"),
        ("?", "dann", ".6100"),
        ("? ± ?", "dann", ".6100 ± .0100"),
        (".12 ± .1", "dann", ".61 ± .0"),
        (".12", "dann/min", ".60"),
        (".12", "dann/max", ".62"),
        (".12", "dann/seed 1", ".61"),
        (".12 and .34", "dann/each", ".60, .61 and .62"),
        ("?", "dann/count", "three"),
        ("-3 %", "share", "42 %"),
    ],
)
def test_a_figure_keeps_its_form(root, text, path, expected):
    page = root / "README.md"
    line = f"Here **{text}**, (.5), {text}<!-- pairs/a-b/{path} -->, .5."
    page.write_text(line, encoding="utf-8")
    tables.main([])
    assert page.read_text(encoding="utf-8") == line.replace(f"{text}<", f"{expected}<")


def test_a_broken_line_is_no_change_and_code_is_left_alone(root):
    text = "So .6100 ±\n.0100<!-- pairs/a-b/dann -->.\n\n```\n.1<!-- pairs/a-b/dann -->\n```\n"
    filled, changes = tables.fill(text, root / "README.md", results(root))
    assert filled == text and not changes


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"seeds": 3, "seed": 0}, " --seeds 3"),
        ({"lam": 0.0, "steps": None}, " --lam 0.0"),
        ({"data_dir": "/somewhere/of/mine/svhn-part"}, " --data-dir svhn-part"),
        ({"recipe": "pseudo", "method": "dann"}, " --recipe pseudo --method dann"),
    ],
)
def test_a_command_has_the_options_that_matter(options, expected):
    found = tables.command(record([], **options))
    assert set(found.split()) == set(
        f"python -m minidann.digits --source a --target b{expected}".split()
    )


def test_words_that_belong_together_are_quoted():
    of = record([], program="ablation") | {"options": {"variants": ["best", "lambda 1"]}}
    assert tables.command(of) == 'python -m minidann.ablation --variants best "lambda 1"'


def test_a_program_with_one_recipe_takes_no_option_for_it():
    of = record([], program="ablation", recipe="best") | {"options": {"recipe": "best", "seeds": 2}}
    assert tables.command(of) == "python -m minidann.ablation --seeds 2"


def test_commands_of_all_methods_are_one():
    one, two, three = (f"program --method {method} --seeds 3" for method in tables.METHODS)
    assert tables.together([one, three, two, "program"]) == ["program --seeds 3", "program"]
    assert tables.together([one, three]) == [one, three]


@pytest.mark.parametrize(
    "seeds, expected",
    [([3], "3"), ([0, 1], "0 and 1"), ([2, 0, 1], "0 to 2"), ([0, 2, 4], "0, 2 and 4")],
)
def test_seeds_are_a_range_or_a_list(seeds, expected):
    assert tables.seed_range(seeds) == expected


# ----------------------------------------------------------------------------------------------
# what is refused, in one sentence


def refused(root):
    with pytest.raises(InputError) as error:
        tables.fill(PAGE, root / "README.md", results(root))
    message = str(error.value)
    assert "\n" not in message and len(message) < 300
    return message


def test_a_record_that_is_missing(root, capsys):
    (root / "docs/results/one.json").unlink()
    assert tables.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: row a-b of table pairs needs the record docs/results/one.json")
    assert said.count("\n") == 1 and (root / "README.md").read_text(encoding="utf-8") == PAGE
    declare(root, "", "one.json", "one-*.json")
    assert "one-*.json, and there is none" in refused(root)


def test_a_seed_that_is_there_twice(root):
    save(root, "one-more.json", record(RUNS[-1:]))
    declare(root, "", '"one.json"', '"one.json", "one-*.json"')
    assert "seed 2 of row a-b, column dann" in refused(root)
    assert "one.json and in one-more.json" in refused(root)


def test_a_run_that_was_stopped(root):
    save(root, "one.json", record([*RUNS, run("dann", 3, {"b": 1}, stopped_at=5)]))
    assert "seed 3 of one.json was stopped at step 5" in refused(root)


def test_a_row_of_two_lengths(root):
    save(root, "one.json", record([*RUNS, run("dann", 3, {"b": 1}, steps=11)]))
    assert "mixes runs whose steps is 10 and 11" in refused(root)


def test_a_column_that_the_runs_have_not(root):
    declare(root, "", 'metric = "loss"', 'metric = "loss"\nwhere = { method = "dann" }')
    declare(root, "", '"source", "dann"', '"loss", "dann"')
    assert "needs 'loss' of every run" in refused(root)


def test_a_file_that_is_no_record(root):
    (root / "docs/results/two.json").write_text("{")
    assert "two.json is no record" in refused(root)


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("pair =", "pear =", "'pear'"),
        ('"dann", "target"', '"done", "target"', "no column 'done'"),
        ("[tables.pairs]", "[tables.pairs", "tables.toml cannot be read"),
    ],
)
def test_a_mistake_in_a_declaration(root, old, new, says):
    declare(root, "", old, new)
    assert says in refused(root)


@pytest.mark.parametrize(
    "text, says",
    [
        (".1<!-- pears/a-b/dann -->", "no table 'pears'; it has pairs"),
        (".1<!-- pairs/a-c/dann -->", "no row 'a-c'; it has a-b"),
        (".1<!-- pairs/a-b/done -->", "no column 'done'"),
        (".1<!-- pairs/a-b/dann/median -->", "no statistic; choose"),
        (".1<!-- pairs/a-b/dann/seed 7 -->", "no seed 7"),
        (".1 <!-- pairs/a-b/dann -->", "no figure stands right before"),
        ("one<!-- pairs/a-b/dann -->", "no figure stands right before"),
        ("<!-- table: pairs -->\n", "is alone"),
        ("<!-- end -->\n", "is alone"),
    ],
)
def test_a_mistake_on_a_page_has_its_line(root, text, says):
    with pytest.raises(InputError, match=r"line 3 of README\.md") as error:
        tables.fill(f"One.\n\n{text}", root / "README.md", results(root))
    assert says in str(error.value)


def test_other_comments_are_left_alone(root):
    text = "<!-- see docs/results for more -->\n\nText <!-- and/or not --> goes on.\n"
    assert tables.fill(text, root / "README.md", results(root)) == (text, [])


RECORDS = sorted((ROOT / "docs/results").glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_runs_accuracy_is_that_of_its_own_confusion_matrix(path):
    for run in json.loads(path.read_text(encoding="utf-8")).get("runs", []):
        counts = run.get("confusion", {}).get(run.get("target"))
        if counts:
            right = sum(row[digit] for digit, row in enumerate(counts))
            assert run["target_class"] == pytest.approx(right / sum(map(sum, counts)))
