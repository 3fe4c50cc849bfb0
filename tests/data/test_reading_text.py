"""Text from files, standard input and addresses: its encoding, its blocks, and what is no text."""

from __future__ import annotations

import io
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from recurra.data import open_text
from recurra.data import text as reading
from recurra.errors import DataError, UnknownNameError

TEXT = "Zeile\r\nzwei\rdrei\n\tä ß € 日本 😀 e\u0301\x1a\x00"[:-1]


def read(source, encoding=None):
    with open_text(source, encoding) as text:
        first = "".join(text)
        assert "".join(text) == first  # it can be read again
        return first


@pytest.fixture(params=[4, 5, 2**20], ids="block {}".format)
def block(request, monkeypatch):
    """Blocks so small that characters and line ends fall on their borders."""
    monkeypatch.setattr(reading, "BLOCK", request.param)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "text.txt"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.usefixtures("block")
class TestEncodings:
    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-32-le", "gb18030"]
    )
    def test_named(self, write, encoding):
        assert read(write(TEXT.encode(encoding)), encoding) == TEXT

    @pytest.mark.parametrize("given", [None, "latin-1"])
    @pytest.mark.parametrize(
        ("mark", "encoding"),
        [
            (b"", "utf-8-sig"),
            (b"\xff\xfe", "utf-16-le"),
            (b"\xfe\xff", "utf-16-be"),
            (b"\xff\xfe\0\0", "utf-32-le"),
            (b"\0\0\xfe\xff", "utf-32-be"),
        ],
    )
    def test_said_by_a_byte_order_mark(self, write, mark, encoding, given):
        assert read(write(mark + TEXT.encode(encoding)), given) == TEXT

    def test_utf8_without_a_word(self, write):
        assert read(write(TEXT.encode())) == TEXT

    def test_only_the_first_mark_is_removed(self, write):
        assert read(write("\ufeff\ufeffa\ufeff".encode())) == "\ufeffa\ufeff"

    def test_one_byte_a_character(self, write):
        assert read(write(b"caf\xe9 \x80"), "cp1252") == "café €"


@pytest.mark.usefixtures("block")
class TestMistakesInTheBytes:
    @pytest.mark.parametrize(
        ("content", "encoding", "shown", "offset"),
        [
            (b"0123456789\xff", None, "ff", 10),
            (b"caf\xe9 au lait", None, "e9", 3),
            (b"0123456" + "ä".encode()[:1], None, "c3", 7),  # cut in the middle of a character
            (b"\xef\xbb\xbf0123\x80", None, "80", 7),
            (b"\xff\xfea\0b\0\x00\xdcc\0", None, "00 dc", 6),
            (b"\xff\xfea\0b", None, "62", 4),
            (b"012345678\x81", "cp1252", "81", 9),
            ("日本語".encode("shift_jis") + b"\xff", "shift_jis", "ff", 6),
        ],
    )
    def test_named_with_their_offset(self, write, content, encoding, shown, offset):
        with pytest.raises(DataError, match=f"byte {shown} at offset {offset} .*--encoding"):
            read(write(content), encoding)

    def test_offset_beyond_a_block(self, write):
        with pytest.raises(DataError, match="byte ff at offset 1,500,000 "):
            read(write(b"a" * 1_500_000 + b"\xff" + b"a" * 10))

    def test_utf16_that_does_not_say_its_byte_order(self, write):
        with pytest.raises(DataError, match=r"is not utf-16: .*--encoding"):
            read(write("ab".encode("utf-16-be")), "utf-16")

    def test_binary(self, write):
        with pytest.raises(DataError, match=r"no text: it has a zero byte at offset 3.*utf-16-le"):
            read(write(b"GIF\x00\x01\x02"))


@pytest.mark.parametrize("name", ["utf8x", "base64", "rot13", "", "a\0b", "undefined"])
def test_unknown_encoding(write, name):
    with pytest.raises(UnknownNameError, match="unknown encoding"):
        read(write(b"abc"), name)


def test_unknown_encoding_offers_the_nearest(write):
    with pytest.raises(UnknownNameError, match="Did you mean 'latin-1'"):
        read(write(b"abc"), "latn-1")


class TestFiles:
    @pytest.mark.parametrize("name", ["", "nothing.txt", "no/such/folder"])
    def test_missing(self, name):
        with pytest.raises(DataError, match="there is no file"):
            read(name)

    def test_another_kind_of_address(self):
        with pytest.raises(DataError, match="Addresses begin with http"):
            read("ftp://example.org/a.txt")

    def test_folder(self, tmp_path):
        with pytest.raises(DataError, match="is a folder"):
            read(tmp_path)

    def test_no_name(self):
        with pytest.raises(DataError, match="is no name"):
            read("a\0b")

    def test_name_too_long(self):
        with pytest.raises(DataError, match="cannot read"):
            read("a" * 5000)

    @pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
    def test_pipe(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(TEXT.encode(),))
        writer.start()
        assert read(pipe) == TEXT
        writer.join()

    @pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that fails")
    def test_a_file_that_cannot_be_read(self):
        with pytest.raises(DataError, match="cannot read /proc/self/mem"):
            read("/proc/self/mem")

    def test_empty_is_read_as_nothing(self, write):
        assert read(write(b"")) == ""


class TestStandardInput:
    def test_read(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode("utf-16"))))
        assert read("-") == TEXT

    def test_closed(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(DataError, match="no standard input"):
            read("-")

    def test_mistakes_name_it(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
        with pytest.raises(DataError, match="standard input is not utf-8"):
            read("-")


class Server(BaseHTTPRequestHandler):
    answers: ClassVar = {
        "/plain": ("text/plain", TEXT.encode()),
        "/latin": ("text/plain; charset=ISO-8859-1", b"caf\xe9"),
        "/marked": ("text/plain; charset=latin-1", "\ufeffé".encode()),
        "/strange": ("text/plain; charset=klingon", b"abc"),
        "/short": ("text/plain", b"abc"),
    }

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/plain")
            self.end_headers()
        elif self.path not in self.answers:
            self.send_error(404)
        else:
            kind, content = self.answers[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) + 5 * (self.path == "/short")))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_):
        pass


class TestAddresses:
    @pytest.fixture
    def address(self, monkeypatch):
        monkeypatch.setenv("no_proxy", "*")
        with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    @pytest.mark.parametrize(
        ("path", "encoding", "text"),
        [
            ("/plain", None, TEXT),
            ("/moved", None, TEXT),
            ("/latin", None, "café"),
            ("/latin", "cp1251", "cafй"),
            ("/marked", None, "é"),
            ("/strange", "utf-8", "abc"),
        ],
    )
    def test_read(self, address, path, encoding, text):
        assert read(address + path, encoding) == text
        assert read(address.replace("http:", "HTTP:") + path, encoding) == text

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("/none", "answers 404 Not Found"),
            ("/short", "broke off 5 bytes early"),
            ("/strange", "encoding is 'klingon', which is not known"),
        ],
    )
    def test_bad_answers(self, address, path, words):
        with pytest.raises(DataError, match=words):
            read(address + path)

    def test_nobody_there(self, address):
        with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
            free = server.server_port
        with pytest.raises(DataError, match=f"cannot reach http://127.0.0.1:{free}/"):
            read(f"http://127.0.0.1:{free}/")

    @pytest.mark.parametrize("bad", ["http://", "http://[", "http://a b/", "http://127.0.0.1:x/"])
    def test_no_address(self, bad, monkeypatch):
        monkeypatch.setenv("no_proxy", "*")
        with pytest.raises(DataError, match="cannot re"):
            read(bad)
