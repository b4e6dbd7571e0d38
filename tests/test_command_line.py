"""``python -m al_core``, run as a person runs it: one that succeeds and one that fails in a
process of their own, which takes seconds, the others in this one."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny import folder_of, pixels_of

from al_core.__main__ import main
from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.records import Annotation, Batch, RoundRecord
from al_core.store.store import Store

ROOT = Path(__file__).parents[1]
QUICK = "--data digits --initial 12 --per-round 5 --rounds 2 --epochs 1 --min-steps 3"


pytestmark = pytest.mark.usefixtures("home")


def al_core(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, words)], prog_name="python -m al_core")


def in_a_process(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "al_core", *map(str, words)],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_simulate_writes_one_row_for_each_strategy_seed_and_round(tmp_path: Path) -> None:
    out = tmp_path / "curve.csv"
    words = ["--strategy", "margin", "--strategy", "random", "--seed", "1", "--seed", "2"]
    words += ["--rounds", "1", "--head", "linear", "--embeddings", str(pixels_of(tmp_path))]
    ended = in_a_process("simulate", *QUICK.split(), "--out", out, *words)
    assert ended.returncode == 0, ended.stderr
    header = out.read_text().splitlines()[0]
    assert header == (
        "strategy,seed,round,labeled,test_accuracy,test_accuracy_low,test_accuracy_high,"
        "balanced_accuracy,balanced_accuracy_low,balanced_accuracy_high,"
        "macro_f1,macro_f1_low,macro_f1_high,leading,train_seconds,score_seconds,select_seconds,"
        "images_scored,nll,ece,disagreement,data,annotator,head,embeddings,start,initial,per_round,"
        "weights,stem,image_size,epochs,min_steps,batch_size,learning_rate,momentum,weight_decay,"
        "flip,shift,class_weights"
    )
    table = rows(out)
    assert [(r["strategy"], r["seed"], r["round"]) for r in table] == [
        (strategy, seed, str(number))
        for strategy in ("margin", "random")
        for seed in "12"
        for number in range(2)
    ]
    for row in table:
        labeled = 12 + 5 * int(row["round"])
        assert int(row["labeled"]) == labeled
        assert int(row["images_scored"]) == 1438 - labeled
        for name in ("test_accuracy", "balanced_accuracy", "macro_f1"):
            low, value, high = (float(row[f"{name}{end}"]) for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1
        assert float(row["train_seconds"]) > 0
        assert float(row["nll"]) > 0
        assert (row["disagreement"] == "") == (row["round"] == "0")
        assert (row["data"], row["head"], row["epochs"]) == ("digits", "linear", "1")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--strategy", "coin"], "There is no strategy “coin”"),
        (["--data", "nowhere"], "nowhere"),
        (["--seed", "seven"], "'seven' is not a valid integer"),
        (["--per-round", "5000"], "lower one of the three"),
    ],
)
def test_simulate_answers_bad_input_in_one_sentence(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    ended = al_core("simulate", *QUICK.split(), "--out", tmp_path / "curve.csv", *words)
    assert ended.exit_code != 0
    assert isinstance(ended.exception, SystemExit)  # not one that would be shown
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "curve.csv").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--out c.csv --plot c.pdf", ".svg or .png"),
        ("--out nowhere/c.csv", "nowhere/c.csv cannot be written (No such file"),
        ("--out c.csv --plot nowhere/c.svg", "nowhere/c.svg cannot be written (No such file"),
        ("--out c.svg --plot c.svg", "c.svg would be written twice"),
        ("--out c.csv --plot link.svg", "link.svg would be written twice"),
        ("--out people.npz --annotator people.npz:ada", "people.npz is read, and would be written"),
        ("--out c.csv --weights ~/mine.pth", "There is no file of weights /home/nobody/mine.pth."),
        ("--out c.csv --weights people.pth", "people.pth cannot be read as a file of weights"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: str, sentence: str
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", "/home/nobody")
    (home / "link.svg").symlink_to("c.csv")  # which is not there yet
    for name in ("people.npz", "people.pth"):
        (home / name).write_text("labels")
    before = sorted(home.iterdir())
    ended = al_core("simulate", "--data", "digits", *words.split())
    assert ended.exit_code == 1
    assert sentence in ended.stderr
    assert sorted(home.iterdir()) == before  # not even the images were read


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--weights none --out there", "choose imagenet, learned or a file of weights"),
        ("--weights learned --out mine/there", "mine/there is within the folder of the images"),
    ],
)
def test_embed_says_what_cannot_work_before_it_reads_an_image(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: str, sentence: str
) -> None:
    monkeypatch.chdir(home)
    folder_of(home / "mine", "a/1.png", "b/1.png")
    before = sorted(home.rglob("*"))
    ended = al_core("embed", "--data", "mine", *words.split())
    assert ended.exit_code == 1
    assert sentence in ended.stderr
    assert sorted(home.rglob("*")) == before


def test_a_picture_of_curves_needs_a_test_image(home: Path) -> None:
    folder = folder_of(home / "mine", "a/1.png", "b/1.png", "a/2.png", "b/2.png")
    words = ["--data", str(folder), "--initial", "2", "--rounds", "0"]
    words += ["--out", str(home / "c.csv"), "--plot", str(home / "c.svg")]
    ended = al_core("simulate", *words)
    assert "Without a test image nothing is measured: leave --plot out." in ended.stderr
    assert not (home / "simulations").exists()


@pytest.mark.slow
def test_a_pipe_gets_the_table_once_and_a_link_stays_one(home: Path) -> None:
    words = ["simulate", *QUICK.split(), "--head", "linear"]
    words += ["--embeddings", str(pixels_of(home)), "--plot", str(home / "c.svg")]
    (home / "link.csv").symlink_to(home / "c.csv")
    said = al_core(*words, "--out", home / "link.csv")
    assert said.exit_code == 0, said.stderr
    assert (home / "link.csv").is_symlink()
    (home / "c.svg").unlink()
    reading, writing = os.pipe()
    ended = al_core(*words, "--out", f"/dev/fd/{writing}")
    assert ended.exit_code == 0, ended.stderr
    os.close(writing)
    with open(reading, encoding="utf-8", newline="") as file:
        assert file.read() == (home / "c.csv").read_text()
    assert (home / "c.svg").read_text().startswith("<svg")


def test_export_writes_the_last_label_of_each_image(tmp_path: Path) -> None:
    digits = finish(load("digits", cache_dir=tmp_path / "cache"))
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(data="digits", initial=2, per_round=3, rounds=1)
    experiment = start_experiment(store, "my digits", settings, digits)
    initial = {a.image for a in store.annotations(experiment)}
    first, second, third = [i for i in range(9) if i not in initial][:3]
    record = RoundRecord(0, 2, None, [[1, 1, 0]], 1, 1, 1, 1, 1436)
    batch = Batch(1, "margin", [first, second, third], [-0.1, -0.2, -0.3])
    store.add_round(experiment, record, batch)
    store.append(experiment, [
        Annotation(first, 7, 1, "ada", key=digits.train.keys[first]),
        Annotation(second, None, 1, "ada", key=digits.train.keys[second]),
        Annotation(first, 4, 1, "bob", key=digits.train.keys[first]),
        Annotation(third, 3, 1, "bob", key=digits.train.keys[third]),
        Annotation(third, None, 1, "bob", key=digits.train.keys[third], cleared=True),
    ])  # fmt: skip

    ended = al_core("export", "--experiment", "my digits", "--out", tmp_path / "out.csv")
    assert ended.exit_code == 0, ended.stderr
    table = {int(row["image"]): row for row in rows(tmp_path / "out.csv")}
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    columns = "key,image,label,class_name,reason,round,strategy,score,annotator,created_at,seconds"
    assert header == columns
    assert set(table) == initial | {first, second}
    relabelled, skipped = table[first], table[second]
    assert relabelled["key"] == digits.train.keys[first]
    assert (relabelled["label"], relabelled["class_name"]) == ("4", "4")
    assert (relabelled["round"], relabelled["strategy"]) == ("1", "margin")
    assert (float(relabelled["score"]), relabelled["annotator"]) == (-0.1, "bob")
    assert (skipped["label"], skipped["class_name"], skipped["score"]) == ("", "", "-0.2")
    by_truth = table[min(initial)]
    assert int(by_truth["label"]) == digits.train.targets[min(initial)]
    assert (by_truth["strategy"], by_truth["score"], by_truth["annotator"]) == (
        "random",
        "",
        "truth",
    )
    assert np.datetime64(by_truth["created_at"].split("+")[0]) > np.datetime64("2026-01-01")


def test_labels_go_out_as_folders_and_parquet_and_come_in_as_csv(tmp_path: Path) -> None:
    digits = finish(load("digits", cache_dir=tmp_path / "cache"))
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(data="digits", initial=5, per_round=3, rounds=1)
    experiment = start_experiment(store, "mine", settings, digits)
    for form, out in (("folders", "by-class"), ("parquet", "labels.parquet")):
        ended = al_core("export", "--experiment", "mine", "--as", form, "--out", tmp_path / out)
        assert ended.exit_code == 0, ended.stderr
        assert "5 images written" in ended.stdout
    assert len(list((tmp_path / "by-class").glob("*/*.png"))) == 5

    table = tmp_path / "labels.csv"
    known, other = digits.train.keys[0], digits.train.keys[1]
    table.write_text(f"key,class_name\n{known},7\nnobody,7\n{other},eight\n")
    words = ("import", "--experiment", "mine", "--labels", table, "--annotator", "ada")
    ended = al_core(*words)
    assert ended.exit_code != 0
    assert "Row 3: No image has the key “nobody”." in ended.stderr
    assert "Row 4: There is no class “eight”." in ended.stderr
    assert len(store.annotations(experiment)) == 5
    table.write_text(f"key,class_name\n{known},7\n")
    ended = al_core(*words)
    assert ended.stdout == "1 label imported; 0 were there already.\n"
    assert (store.annotations(experiment)[-1].label, len(store.annotations(experiment))) == (7, 6)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_a_terminal_cannot_print_is_shown_as_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    digits = finish(load("digits", cache_dir=tmp_path / "cache"))
    settings = ExperimentConfig(data="digits", initial=5, per_round=3, rounds=1)
    start_experiment(Store(f"sqlite:///{tmp_path / 'al.db'}"), "mine", settings, digits)
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    ended = in_a_process("export", "--experiment", "mine", "--out", tmp_path / "日本.csv")
    assert ended.stdout == f"5 images written to {tmp_path}/\\u65e5\\u672c.csv.\n"
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(rows(tmp_path / "日本.csv")) == 5
    ended = in_a_process("export", "--experiment", "mine", "--out", tmp_path / "no" / "日本.csv")
    assert ended.returncode == 1
    assert "/no/\\u65e5\\u672c.csv cannot be written" in ended.stderr


@pytest.mark.slow
def test_export_of_an_unknown_experiment_says_so(tmp_path: Path) -> None:
    ended = in_a_process("export", "--experiment", "fish", "--out", tmp_path / "out.csv")
    assert ended.returncode != 0
    assert ended.stderr == "Error: There is no experiment “fish”; there are: none yet.\n"
    assert not (tmp_path / "out.csv").exists()
