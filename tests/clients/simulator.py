"""A simulated org (`destination-salesforce simulate`), and what it says of itself."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# What it accepts.
CREDENTIALS = {
    "client_id": "sim-client-id",
    "client_secret": "sim-client-secret",
    "refresh_token": "sim-refresh-token",
}


def key_pair() -> tuple[str, str]:
    """A private RSA key for JWT logins and the public key that an org checks them by, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private_key = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key.decode(), key.public_key().public_bytes(pem, form).decode()


class Org:
    def __init__(self, url: str):
        self.url = url

    def get(self, path: str):
        with urllib.request.urlopen(f"{self.url}/sim/{path}") as answer:
            return json.load(answer)

    def post(self, path: str, body=None) -> None:
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sim/{path}", data, headers, method="POST")
        urllib.request.urlopen(request).close()

    def reset(self) -> None:
        self.post("reset")

    def count(self, name: str) -> int:
        return self.get(f"objects/{name}")["count"]

    def rows(self, name: str) -> list[dict]:
        """The records of an object, up to 1,000."""
        return self.get(f"objects/{name}/rows")

    def operations(self) -> set[str]:
        return {job["operation"] for job in self.get("state")["jobs"]}


@contextmanager
def simulated_org(binary: str) -> Iterator[Org]:
    command = [binary, "simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Org(process.stdout.readline().strip())
        finally:
            process.terminate()
