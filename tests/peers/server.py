"""The tests' model server as a process."""

import contextlib
import json
import os
import subprocess
import tempfile


@contextlib.contextmanager
def model_server(turns=None, script=None, key=None):
    """Runs a script (a list of turns, or a file), gives the server's URL, and fails if it refused what should have been fine."""
    with tempfile.TemporaryDirectory() as folder:
        if script is None:
            script = os.path.join(folder, "script.yaml")
            with open(script, "w") as file:
                json.dump({"conversation": 1, "turns": turns}, file)
        command = [os.environ["MODEL_SERVER"], "--script", script]
        command += ["--key", key] if key else []
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: {what}")
    print(f"  ok: {what}")
