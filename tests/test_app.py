"""The entry point: what the person can mend is one sentence, and importing it costs nothing."""

import socket
import subprocess
import sys
from pathlib import Path

import app


def test_port_in_use_is_one_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert app.main(["--port", str(taken.getsockname()[1])]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--port" in said


def test_auth_without_a_password_is_one_sentence(capsys):
    assert app.main(["--auth", "me"]) == 2
    assert "USER:PASSWORD" in capsys.readouterr().err


def test_weights_that_are_not_there_are_one_sentence(capsys):
    assert app.main(["--port", "0", "--weights", "no-such-weights"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said


def test_importing_app_loads_neither_torch_nor_gradio():
    code = "import sys, app; sys.exit(any(name in sys.modules for name in ('torch', 'gradio')))"
    folder = Path(app.__file__).parent
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
