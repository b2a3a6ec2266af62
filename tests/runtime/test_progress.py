"""Progress: whole lines where there is no terminal."""

from minidann.runtime.progress import progress_bar


def test_progress_in_a_log_file_is_whole_lines(capsys):
    for name in ("one", "other"):
        with progress_bar(50, name) as bar:
            for _ in range(50):
                bar.update()
                bar.set_postfix({"L_y": "0.300"}, refresh=False)
    *_, last = lines = capsys.readouterr().err.split("\n")[:-1]
    assert last.startswith("other: 50/50 steps,") and last.endswith("L_y=0.300")
    assert len(lines) == 4 and not any("\r" in line or "\x1b" in line for line in lines)


def test_short_work_with_a_delay_says_nothing(capsys):
    for options in ({"delay": 5}, {"disable": True}):
        with progress_bar(3, "short", **options) as bar:
            bar.update(3)
    assert capsys.readouterr().err == ""


def test_a_description_that_changes_stands_as_the_first_did(capsys):
    with progress_bar(2, "first") as bar:
        bar.set_description("second")
    assert [line.split("/")[0] for line in capsys.readouterr().err.splitlines()] == [
        "first: 0",
        "second: 0",
        "second: 0",
    ]
