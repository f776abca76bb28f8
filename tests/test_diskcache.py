"""What is kept is what was given, or it counts as not there."""

import os
import threading

import pytest

from ldsr.data.diskcache import DiskCache


@pytest.fixture
def cache(tmp_path) -> DiskCache:
    return DiskCache(tmp_path / "kept", 1000)


def only(cache: DiskCache):
    (path,) = cache.folder.iterdir()
    return path


def test_what_was_put_is_got(cache):
    assert cache.get("a") is None and not cache.has("a") and not cache.folder.exists()
    cache.put("a", b"1")
    cache.put("b", b"")
    cache.put("a", b"22")
    assert cache.get("a") == b"22" and cache.get("b") == b"" and cache.has("a")
    assert DiskCache(cache.folder, 1000).get("a") == b"22"
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None and not cache.has("a")


def test_any_key_is_a_safe_file_name(cache):
    for key in ("../../etc/passwd", "https://a/b?c=d&e", "é\n" * 200):
        cache.put(key, key.encode())
        assert cache.get(key) == key.encode()
        cache.drop(key)
    assert not list(cache.folder.iterdir())


@pytest.mark.parametrize("damage", [b"", b"short", bytes(40), None])
def test_a_damaged_file_counts_as_not_there(cache, damage):
    cache.put("a", b"0123456789")
    path = only(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x" if damage is None else damage)
    assert cache.get("a") is None and not cache.has("a")
    cache.put("a", b"new")
    assert cache.get("a") == b"new"


def test_the_longest_unused_goes_first(cache):
    for number, key in enumerate("abcd"):
        cache.put(key, bytes(200))
        os.utime(cache._path(key), (number, number))
    assert cache.get("a") == bytes(200)
    cache.put("e", bytes(200))
    assert [key for key in "abcde" if cache.has(key)] == ["a", "c", "d", "e"]
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= cache.limit


def test_what_is_larger_than_all_is_not_kept_and_nothing_is_lost_for_it(cache):
    cache.put("a", b"1")
    cache.put("b", bytes(1001))
    assert cache.get("a") == b"1" and not cache.has("b")
    none = DiskCache(cache.folder / "none", 0)
    none.put("a", b"")
    assert none.get("a") is None and not none.folder.exists()


def test_a_disk_that_does_not_let_us_is_no_failure(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        cache = DiskCache(folder, 1000)
        cache.put("a", b"1")
        assert cache.get("a") is None and not cache.has("a")
        cache.drop("a")


def test_a_folder_where_times_cannot_be_set_is_read_all_the_same(cache, monkeypatch):
    cache.put("a", b"1")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.get("a") == b"1"


def test_many_at_once_see_whole_files_or_none(tmp_path):
    folder, wrong = tmp_path / "kept", []

    def work(number: int) -> None:
        cache = DiskCache(folder, 3000)
        for turn in range(60):
            key = f"{(number + turn) % 7}"
            cache.put(key, key.encode() * 500)
            found = cache.get(key)
            if found not in (None, key.encode() * 500):
                wrong.append(found)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong and not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 3000 + 6 * 532
