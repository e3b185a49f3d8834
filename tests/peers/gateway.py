"""Our client against litellm's proxy: its own mocked replies, and the demo's conversation through it as a gateway that translates between formats."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from server import check, model_server

KEY = "sk-peer-test"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "demo"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """The proxy with these models, until the block ends."""

    def __init__(self, folder, models):
        self.port, self.folder = free_port(), folder
        config = {"model_list": models, "general_settings": {"master_key": KEY}, "litellm_settings": {"telemetry": False, "num_retries": 0}}
        (folder / "proxy.json").write_text(json.dumps(config))

    def __enter__(self):
        program = pathlib.Path(sys.executable).with_name("litellm")
        command = [program, "--config", self.folder / "proxy.json", "--port", str(self.port), "--host", "127.0.0.1"]
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
        self.log = open(self.folder / "proxy.log", "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env=environment)
        url = f"http://127.0.0.1:{self.port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health/liveliness", timeout=2)
                return url
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.5)
        self.__exit__()
        raise SystemExit("FAILED: the proxy does not start:\n" + (self.folder / "proxy.log").read_text()[-3000:])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()


def run(folder, provider, url, key=KEY):
    """One run of the demo's agent with a model at this URL."""
    tier = {"tier": "standard", "provider": provider, "endpoint": url, "model": "claude-sonnet-4-5", "maxTokens": 8192}
    tier["auth"] = {"type": "apiKey", "secretRef": "llm"}
    models = {"apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": {"name": "default"}, "spec": {"tiers": [tier]}}
    (folder / "models.yaml").write_text(json.dumps(models))
    command = [os.environ["INFRAAGENT"], "run", "--models", folder / "models.yaml", "--skill", SKILL, "--snapshot", DEMO / "snapshot"]
    # The platform of the demo allows one provider's models only.
    (folder / "policy.yaml").write_text((DEMO / "policy.yaml").read_text().replace("anthropic/*", "*"))
    command += ["--agent", DEMO / "agent.yaml", "--environment", DEMO / "environment.yaml", "--policy", folder / "policy.yaml"]
    (folder / "run.yaml").unlink(missing_ok=True)
    command += ["--record-to", folder / "run.yaml", "-o", "json", "--api-key-env", "PEER_KEY"]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PEER_KEY": key})
    status = json.loads(ended.stdout)["status"] if ended.stdout else {}
    return ended, status


def told(ended):
    """What a run that failed said about it."""
    return ": " + ended.stderr.strip()[-1000:] if ended.returncode else ""


def mocked(folder):
    """What the proxy says by itself."""
    text = "All rollouts are fine."
    params = {"model": "openai/mocked", "api_key": "x", "mock_response": text}
    with Proxy(folder, [{"model_name": "claude-sonnet-4-5", "litellm_params": params}]) as url:
        for provider in ["openai", "somebody-else", "anthropic"]:
            for base in [url, f"{url}/v1"]:
                ended, status = run(folder, provider, base)
                check(ended.returncode == 0 and text in str(status.get("report")), f"a mocked reply to {provider} at {base}{told(ended)}")
                usage = status["usage"]
                check(usage["tokensIn"] > 0 and usage["tokensOut"] > 0, f"its tokens are counted: {usage['tokensIn']} + {usage['tokensOut']}")
            ended, status = run(folder, provider, url, key="sk-wrong")
            shown = str(status.get("conditions")) + ended.stderr
            check(ended.returncode == 1 and "sk-wrong" not in shown, f"a wrong key fails the run of {provider}, and is not repeated")


def gateway(folder):
    """The demo's whole conversation, asked in one format and answered in the other."""
    for provider, backend, path in [("openai", "openai", "/v1"), ("openai", "anthropic", ""), ("anthropic", "hosted_vllm", "/v1"), ("anthropic", "anthropic", "")]:
        with model_server(script=DEMO / "conversation.yaml") as behind:
            params = {"model": f"{backend}/behind", "api_base": f"{behind}{path}", "api_key": "x"}
            with Proxy(folder, [{"model_name": "claude-sonnet-4-5", "litellm_params": params}]) as url:
                ended, status = run(folder, provider, url)
                actions = [(action.get("tool"), action["status"]) for action in status.get("actions", [])]
                check(ended.returncode == 0, f"the demo through the gateway, asked as {provider}, answered by {backend}: {len(actions)} entries{told(ended)}")
                check([what for _, what in actions].count("blocked") >= 2, "what the demo promises was refused")


with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    SKILL = pathlib.Path(os.environ.get("SKILL") or scratch / "deployment-pipeline.wasm")
    if not SKILL.exists():
        subprocess.run([os.environ["INFRAAGENT"], "skill", "build", REPOSITORY / "example-skills/deployment-pipeline", "-o", SKILL], check=True)
    mocked(scratch)
    gateway(scratch)
