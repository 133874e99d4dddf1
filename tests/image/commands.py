"""Runs Airbyte's commands in the unpacked image, as its platform does, against the simulator in its own.

Usage: commands.py DESTINATION SIMULATOR, a folder for each image. It holds image.json (what buildah
says of the image), oci (the image as a registry would get it) and root (the path of its file system).
Run by run.sh.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "clients" / "source.py"
ACCOUNTS = 500
# Seconds for any of the commands: it ends a test that would hang.
PATIENCE = 60
# Starts of which the middle one counts.
STARTS = 5
# What a container runtime does, but for the network, which is this machine's: $1 is the root, $2
# the user, $3 the command; what follows are directories and where they are mounted.
CONTAINER = """
root=$1 user=$2 command=$3; shift 3
mount --bind "$root" "$root"
while [ $# != 0 ]; do
  mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2
done
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups="${user#*:}" "$root" sh -c "cd $0 && $command"
"""


class Image:
    """The image, and directories that are mounted when it runs."""

    def __init__(self, directory: Path, mounts: Path):
        self.root = (directory / "root").read_text().strip()
        self.config = json.loads((directory / "image.json").read_text())["OCIv1"]["config"]
        entries = [line.split(":") for line in Path(self.root, "etc/passwd").read_text().splitlines()]
        ids = {entry[0]: f"{entry[2]}:{entry[3]}" for entry in entries}
        self.user = ids[self.config["User"]]
        self.folder = self.config.get("WorkingDir") or "/dest"
        self.mounts = ["/dev", "/dev"]
        for name in ["airbyte", "dest", "pipes"]:
            (mounts / name).mkdir()
            self.mounts += [str(mounts / name), f"/{name}"]

    def start(self, command: str) -> subprocess.Popen:
        spaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        environment = {"PATH": os.environ["PATH"]}
        environment |= dict(variable.split("=", 1) for variable in self.config["Env"])
        return subprocess.Popen(
            ["unshare", *spaces, "sh", "-euc", CONTAINER, self.folder, self.root, self.user, command, *self.mounts],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        with self.start(command) as process:
            try:
                output, _ = process.communicate(timeout=PATIENCE)
            finally:
                end(process)
        return process.returncode, output

    def messages(self, arguments: str, kind: str) -> list[dict]:
        """Messages of a kind, of a run of the entry point that ends well."""
        code, output = self.run(f"$AIRBYTE_ENTRYPOINT {arguments}")
        assert code == 0, f"{arguments} ended with exit code {code}: {output}"
        return of_kind(output, kind)


def end(process: subprocess.Popen) -> None:
    """Ends a container with all that is in it. A process that changed its user would outlive `unshare`."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def of_kind(output: str, kind: str) -> list[dict]:
    messages = [json.loads(line) for line in output.splitlines()]
    found = [message for message in messages if message["type"] == kind]
    assert found, f"no {kind} in {output}"
    return found


def settings(image: Image) -> str:
    """Labels, entry point and user are those that Airbyte expects."""
    metadata = (HERE / "../../metadata.yaml").read_text()
    entry = lambda key: re.search(rf"^ *{key}: *(\S+)", metadata, re.MULTILINE)[1]  # noqa: E731
    labels = image.config["Labels"]
    assert labels["io.airbyte.name"] == entry("dockerRepository"), labels
    assert labels["io.airbyte.version"] == entry("dockerImageTag"), labels
    assert image.config["User"] == "airbyte" and not image.user.startswith("0:"), image.user
    [entry_point] = image.config["Entrypoint"]
    assert f"AIRBYTE_ENTRYPOINT={entry_point}" in image.config["Env"], image.config
    assert image.run(f"{entry_point} --version") == (
        0,
        f"destination-salesforce {entry('dockerImageTag')}\n",
    )
    return f"{labels}, user {image.user}"


def confinement(image: Image) -> str:
    """Nothing can be written, roots are there, and the simulator is not."""
    assert image.run("id -un; pwd") == (0, "airbyte\n/dest\n")
    for place in ["/tmp", "$HOME", "/usr/local/bin", "/dest"]:
        code, _ = image.run(f"touch {place}/x 2>/dev/null")
        assert code != 0, f"{place} can be written"
    assert image.run("test -s /etc/ssl/certs/ca-certificates.crt")[0] == 0
    assert image.run("$AIRBYTE_ENTRYPOINT simulate --help 2>/dev/null")[0] == 2
    return "read-only root, user airbyte, no simulator"


def spec(image: Image) -> str:
    [message] = image.messages("spec", "SPEC")
    properties = message["spec"]["connectionSpecification"]["properties"]
    return f"{len(properties)} settings"


def check(image: Image) -> str:
    [message] = image.messages("check --config /airbyte/config.json", "CONNECTION_STATUS")
    assert message["connectionStatus"] == {"status": "SUCCEEDED"}, message
    return "SUCCEEDED"


def discover(image: Image) -> str:
    [message] = image.messages("discover --config /airbyte/config.json", "DESTINATION_CATALOG")
    operations = message["destination_catalog"]["operations"]
    modes = {entry["sync_mode"] for entry in operations if entry["object_name"] == "Account"}
    assert modes == {"append", "append_dedup", "update", "soft_delete"}, modes
    return f"{len(operations)} operations"


def write(image: Image, mounts: Path, org: str) -> str:
    """Records come and states go through FIFOs, as in a pod of the platform."""
    pipes = {name: mounts / "pipes" / name for name in ["stdin", "stdout", "stderr"]}
    for pipe in pipes.values():
        os.mkfifo(pipe)
        pipe.chmod(0o666)
    process = image.start(
        "(eval '$AIRBYTE_ENTRYPOINT write --config /airbyte/config.json"
        " --catalog /airbyte/catalog.json' 2>/pipes/stderr >/pipes/stdout) </pipes/stdin"
    )
    records = mounts / "source.json"
    records.write_text(json.dumps({"accounts": ACCOUNTS, "contacts": 0, "revision": 1}))
    read = f"'{SOURCE}' read --config '{records}' --catalog '{HERE}/catalog.json'"
    source = subprocess.Popen(["sh", "-c", f"exec {read} >'{pipes['stdin']}'"])
    readers = {
        name: subprocess.Popen(["cat", pipes[name]], stdout=subprocess.PIPE, text=True)
        for name in ["stdout", "stderr"]
    }
    errors = readers["stderr"].communicate(timeout=PATIENCE)[0]
    output = readers["stdout"].communicate(timeout=PATIENCE)[0]
    codes = (source.wait(timeout=PATIENCE), process.wait(timeout=PATIENCE))
    assert codes == (0, 0), f"exit codes {codes}: {output}{errors}"
    [state] = of_kind(output, "STATE")
    counts = state["state"]["destinationStats"]
    assert counts["recordCount"] == ACCOUNTS, counts
    with urllib.request.urlopen(f"{org}/sim/objects/Account") as answer:
        held = json.load(answer)["count"]
    assert held == ACCOUNTS, held
    return f"{held} records in the org, state {json.dumps(counts)}"


def compressed(directory: Path) -> str:
    """The layers as a registry gets them."""
    blob = lambda digest: directory / "oci" / "blobs" / digest.replace(":", "/")  # noqa: E731
    index = json.loads((directory / "oci" / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    base, *own = [layer["size"] / 1e6 for layer in manifest["layers"]]
    return f"{base + sum(own):.1f} MB, of which the base {base:.1f} MB"


def cold_start(image: Image) -> str:
    """From nothing to the answer of `spec`, with files in the page cache and without them."""
    seconds = {}
    for pages in ["cached", "read from disk"]:
        times = []
        for _ in range(STARTS):
            if pages != "cached":
                Path("/proc/sys/vm/drop_caches").write_text("1")
            start = time.monotonic()
            image.messages("spec", "SPEC")
            times.append(time.monotonic() - start)
        seconds[pages] = sorted(times)[STARTS // 2]
    return ", ".join(f"{1000 * median:.0f} ms {pages}" for pages, median in seconds.items())


def main(destination: Path, simulator: Path) -> None:
    with tempfile.TemporaryDirectory() as mounts:
        mounts = Path(mounts)
        mounts.chmod(0o755)
        own = mounts / "simulator"
        own.mkdir()
        with Image(simulator, own).start("salesforce-sim --port 0") as sim:
            try:
                run(destination, simulator, mounts, sim.stdout.readline().strip())
            finally:
                end(sim)


def run(destination: Path, simulator: Path, mounts: Path, org: str) -> None:
    image = Image(destination, mounts)
    config = {
        "client_id": "sim-client-id",
        "client_secret": "sim-client-secret",
        "refresh_token": "sim-refresh-token",
        "is_sandbox": False,
        "login_url": org,
    }
    (mounts / "airbyte" / "config.json").write_text(json.dumps(config))
    (mounts / "airbyte" / "catalog.json").write_text((HERE / "catalog.json").read_text())
    for test in [settings, confinement, spec, check, discover]:
        print(f"{test.__name__}: {test(image)}", flush=True)
    print(f"write: {write(image, mounts, org)}")
    print(f"cold start: {cold_start(image)}")
    for name, directory in {"destination": destination, "simulator": simulator}.items():
        print(f"{name}, compressed: {compressed(directory)}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
