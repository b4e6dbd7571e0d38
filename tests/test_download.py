"""Downloads, from a server on this machine that behaves as badly as a test wants."""

import hashlib
import io
import pickle
import tarfile
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import numpy as np
import pytest

from al_core.errors import DownloadError, SourceError
from al_core.files.download import download
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.sources import cifar10

FILE = np.random.default_rng(0).bytes(400_000)
CHECKSUM = f"md5:{hashlib.md5(FILE).hexdigest()}"
NOWHERE = "http://127.0.0.1:1/file"  # nobody listens on that port


class Handler(BaseHTTPRequestHandler):
    """/whole honours Range, /plain ignores it, /wrong has other bytes; /cut breaks off after
    200,000 bytes, /stall falls silent there, /crawl sends 350,000 bytes per second."""

    def do_GET(self):
        how = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.server.seen.append((how, asked))
        content = b"x" * 300_000 if how == "wrong" else self.server.content
        start = int(asked[len("bytes=") : -1]) if asked and how != "plain" else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if how in ("cut", "stall"):
            self.wfile.write(content[start : start + 200_000])
            self.server.over.wait(10 if how == "stall" else 0)
        elif how == "crawl":
            for i in range(start, len(content), 70_000):
                self.wfile.write(content[i : i + 70_000])
                self.server.over.wait(0.2)
        else:
            self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients hang up here on purpose


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.content, server.seen, server.over = FILE, [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def target(tmp_path, monkeypatch):
    monkeypatch.setattr("al_core.files.download.SILENCE_S", 1.0)
    return tmp_path / "downloads" / "file"


def fetch(target, *urls, report=None):
    finish(download(urls, target, checksum=CHECKSUM), report)
    assert target.read_bytes() == FILE
    assert not part_of(target).exists()


def part_of(target):
    return target.with_name(target.name + ".part")


def leave_part(target, content):
    target.parent.mkdir()
    part_of(target).write_bytes(content)


def test_a_file_arrives_whole_and_its_bytes_are_reported(server, target):
    reports = []
    fetch(target, f"{server.url}/whole", report=reports.append)
    assert reports[-1].fraction == 1
    assert (reports[-1].done, reports[-1].total, reports[-1].unit) == (400_000, 400_000, "bytes")


@pytest.mark.parametrize("how", ["cut", "stall", "crawl"])
def test_the_next_mirror_continues_where_one_broke_off(server, target, how, monkeypatch):
    if how == "crawl":
        monkeypatch.setattr("al_core.files.download.WINDOW_S", 0.5)
        monkeypatch.setattr("al_core.files.download.LEAST_BYTES_PER_S", 1_000_000)
    fetch(target, f"{server.url}/{how}", f"{server.url}/whole")
    (_, nothing), (mirror, continued) = server.seen
    assert nothing is None
    assert mirror == "whole"
    assert 0 < int(continued.removeprefix("bytes=").rstrip("-")) < 400_000


def test_a_later_call_continues_what_an_earlier_one_left(server, target):
    with pytest.raises(DownloadError):
        fetch(target, f"{server.url}/cut")
    assert FILE.startswith(part_of(target).read_bytes())
    fetch(target, f"{server.url}/cut")


@pytest.mark.parametrize("length", [1, 65_536, 399_999, 400_000])
def test_whatever_part_is_there_the_file_is_the_same(server, target, length):
    leave_part(target, FILE[:length])
    fetch(target, f"{server.url}/whole")
    assert server.seen == [("whole", f"bytes={length}-")]


def test_a_server_that_ignores_range_sends_all_again(server, target):
    leave_part(target, FILE[:123_456])
    fetch(target, f"{server.url}/plain")
    assert server.seen == [("plain", "bytes=123456-")]


@pytest.mark.parametrize("length", [10, 400_000, 500_000])
def test_a_wrong_part_does_not_spoil_the_file(server, target, length):
    leave_part(target, b"?" * length)
    fetch(target, f"{server.url}/whole")


def test_a_dead_mirror_and_one_with_another_file_are_passed_over(server, target):
    fetch(target, NOWHERE, f"{server.url}/wrong", f"{server.url}/whole")
    assert server.seen == [("wrong", None), ("whole", None)]


def test_a_name_that_takes_for_ever_to_resolve_is_given_up(monkeypatch, target):
    over, resolved = threading.Event(), []
    answer = lambda *_, **__: resolved.append(over.wait(60))  # noqa: E731
    monkeypatch.setattr("socket.getaddrinfo", answer)
    with pytest.raises(DownloadError, match="silent for 1 s"):
        fetch(target, "http://a.invalid/file")
    assert not resolved
    over.set()


def test_a_wrong_file_is_never_kept(server, target):
    with pytest.raises(DownloadError, match="not the expected file"):
        fetch(target, f"{server.url}/wrong")
    assert not target.exists()
    assert not part_of(target).exists()


def test_a_cancelled_download_keeps_its_part_and_frees_its_lock(server, target):
    with closing(download([f"{server.url}/stall"], target, checksum=CHECKSUM)) as work:
        next(progress for progress in work if progress.done > 0)
    assert 0 < part_of(target).stat().st_size < 400_000
    fetch(target, f"{server.url}/whole")


def test_reports_come_even_while_a_mirror_is_silent(server, target):
    work = download([f"{server.url}/stall"], target, checksum=CHECKSUM)
    with closing(work):
        reports = list(islice((p for p in work if p.done >= 190_000), 3))
    assert len({progress.done for progress in reports}) == 1


def test_two_at_once_download_once(server, target):
    urls = [f"{server.url}/crawl"]
    both = [
        threading.Thread(target=finish, args=(download(urls, target, checksum=CHECKSUM),))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert target.read_bytes() == FILE
    assert len(server.seen) == 1


def test_when_nothing_can_be_reached_one_sentence_says_what_works(monkeypatch, tmp_path):
    monkeypatch.setattr(cifar10, "MIRRORS", (NOWHERE,))
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", NOWHERE)
    began = time.monotonic()
    with pytest.raises(DownloadError) as error:
        finish(load("cifar10", cache_dir=tmp_path))
    assert time.monotonic() - began < 5
    sentence = str(error.value)
    assert "digits" in sentence
    assert "cifar-10-python.tar.gz" in sentence
    assert "cifar-10-batches-py" in sentence
    assert "\n" not in sentence


# CIFAR-10 in small: five batches of four images and a test batch of six, as its authors pack them


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """The small CIFAR-10, packed in ``home/`` and unpacked in ``home/cifar-10-batches-py/``."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "home" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    checksums = {}
    for name, count in [*((f"data_batch_{i}", 4) for i in range(1, 6)), ("test_batch", 6)]:
        data = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        batch = {"data": data, "labels": [i % 2 for i in range(count)]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["cat", "dog"]}))
    for file in folder.iterdir():
        checksums[file.name] = hashlib.md5(file.read_bytes()).hexdigest()
    packed = tmp_path / "home" / "cifar-10-python.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    train = [[name, md5] for name, md5 in sorted(checksums.items()) if name.startswith("data")]
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(packed.read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": checksums["batches.meta"]})
    return packed


def test_cifar10_comes_from_the_mirror_of_ones_choice_once(server, monkeypatch, archive, tmp_path):
    server.content = archive.read_bytes()
    monkeypatch.setenv("AL_CIFAR10_MIRROR", f"{server.url}/whole/")
    first_pixels = pickle.loads((archive.parent / "cifar-10-batches-py/data_batch_1").read_bytes())
    for _ in range(2):
        data = finish(load("cifar10", cache_dir=tmp_path / "cache"))
        assert (len(data.train), len(data.test)) == (20, 6)
        assert data.train.class_names == ("cat", "dog")
        assert (data.train.keys[0], data.test.keys[5]) == ("train/00000", "test/00005")
        assert data.train.targets[:4].tolist() == [0, 1, 0, 1]
        assert (data.train.images[0].ravel() == first_pixels["data"][0]).all()
    assert server.seen == [("whole", None)]


def test_a_local_archive_its_folder_and_its_batches_are_the_same_source(archive, tmp_path):
    before = sorted(archive.parent.rglob("*"))
    batches = archive.parent / "cifar-10-batches-py"
    prints = {
        finish(load(str(path), cache_dir=tmp_path / "cache")).fingerprint
        for path in (archive, archive.parent, batches)
    }
    assert len(prints) == 1
    assert sorted(archive.parent.rglob("*")) == before


def test_a_damaged_archive_is_refused_before_its_pickles_are_read(archive, tmp_path):
    with archive.open("r+b") as file:
        file.seek(-20, io.SEEK_END)
        file.write(b"\0" * 10)
    with pytest.raises(SourceError, match="damaged"):
        finish(load(str(archive), cache_dir=tmp_path / "cache"))
    batch = archive.parent / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(SourceError, match="data_batch_3 is damaged"):
        finish(load(str(batch.parent), cache_dir=tmp_path / "cache"))


def test_cifar10_can_be_decoded_at_another_size(archive, tmp_path):
    data = finish(load(str(archive), image_size=16, cache_dir=tmp_path / "cache"))
    assert data.train.images.shape == (20, 3, 16, 16)
