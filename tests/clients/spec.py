"""The spec before Airbyte's judges: a JSON Schema validator, and the checks of spec and output that
airbyte-cdk's standard tests make for connectors written with it.

Usage: spec.py BINARY, the binary having `simulate`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

from airbyte_cdk.test.entrypoint_wrapper import EntrypointOutput
from airbyte_cdk.test.standard_tests import _spec_compatibility, _spec_lint
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

import simulator
from simulator import Org, simulated_org

NAME = "destination-salesforce"
ROOT = Path(__file__).resolve().parents[2]
# What Airbyte's own connector publishes.
PUBLISHED = ROOT / "crates/destination/tests/data/protocol/spec_expected.json"
LOGIN = {
    "client_id": "your_consumer_key",
    "client_secret": "your_consumer_secret",
    "refresh_token": "your_refresh_token",
    "is_sandbox": False,
    "auth_type": "Client",
}
FORMAT = {"format_type": "CSV", "flattening": "No flattening"}
# The example of the docs page of Airbyte's connector, which lacks `auth_type` and `format`.
PUBLISHED_EXAMPLE = {key: LOGIN[key] for key in LOGIN if key != "auth_type"} | {
    "object_storage_config": {
        "storage_type": "S3",
        "access_key_id": "your_access_key_id",
        "secret_access_key": "your_secret_access_key",
        "s3_bucket_name": "your_bucket_name",
        "s3_bucket_region": "us-east-1",
        "bucket_path": "rejected_records/",
    }
}


class Spec:
    """What `spec` prints, read by airbyte-cdk."""

    def __init__(self, binary: str):
        lines = subprocess.check_output([binary, "spec"], text=True).splitlines()
        output = EntrypointOutput(messages=lines)
        self.specification = _spec_lint.get_single_spec(output, connector_name=NAME)
        self.printed = json.loads(lines[0])["spec"]
        self.schema = self.specification.connectionSpecification
        self.validator = Draft7Validator(self.schema)

    def faults(self, config: dict) -> set[str]:
        """Where a config does not fit, and by which keyword: `/is_sandbox type`."""
        return {fault for error in self.validator.iter_errors(config) for fault in leaves(error)}

    def check(self, binary: str, config: dict) -> dict:
        """The status that `check` prints for a config; no secret of it is in the output."""
        with NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(config, file)
            file.flush()
            command = [binary, "check", "--config", file.name]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
        output = EntrypointOutput(messages=ran.stdout.splitlines(), stderr=ran.stderr)
        _spec_lint.assert_no_secrets_in_output(
            output, spec=self.specification, config=config, verb="check", connector_name=NAME
        )
        (message,) = output.connection_status_messages
        status = message.connectionStatus
        return {"status": status.status.value, "message": status.message}


def leaves(error: ValidationError) -> set[str]:
    """The errors of a `oneOf` are those of its alternatives."""
    if error.context:
        return {fault for inner in error.context for fault in leaves(inner)}
    path = "".join(f"/{part}" for part in error.absolute_path)
    return {f"{path} {error.validator}"}


def complete(config: dict) -> dict:
    """A config with the two keys that the schema demands and a file may lack."""
    made = {"auth_type": "Client"} | config
    storage = made.get("object_storage_config", {})
    if storage.get("storage_type") == "S3":
        made["object_storage_config"] = {"format": FORMAT} | storage
    return made


def documented() -> list[tuple[str, dict]]:
    """The example configs of our docs, each with its file's name."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"^```json\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE):
            if '"client_id"' in block:
                found.append((path.name, json.loads(block)))
    assert {"README.md", "settings.md"} <= {name for name, _ in found}, found
    return found


def schema_is_valid(spec: Spec) -> None:
    assert spec.schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(spec.schema)
    _spec_lint.assert_spec_is_valid(spec.specification, connector_name=NAME)


def configs_of_airbytes_connector_stay_valid(spec: Spec) -> None:
    published = json.loads(PUBLISHED.read_text())
    compared = _spec_compatibility.compare_specs(published, spec.printed)
    assert compared.is_backward_compatible, compared.breaking
    added = set(spec.schema["properties"]) - set(published["connectionSpecification"]["properties"])
    assert added, "no settings of our own"
    for key in added:
        setting = spec.schema["properties"][key]
        defaults = [setting["default"]] if "default" in setting else []
        for value in setting.get("examples", []) + defaults:
            assert not spec.faults(LOGIN | {key: value}), (key, value)


def configs_are_accepted(spec: Spec) -> None:
    accepted = [
        LOGIN,
        LOGIN | {"object_storage_config": {"storage_type": "None"}},
        complete(PUBLISHED_EXAMPLE),
        LOGIN | {"a_setting_of_tomorrow": 1},
    ]
    for config in accepted:
        assert not spec.faults(config), (config, spec.faults(config))


def configs_are_refused(spec: Spec) -> None:
    storage = "/object_storage_config"
    refused = [
        ({key: LOGIN[key] for key in LOGIN if key != "client_id"}, " required"),
        (PUBLISHED_EXAMPLE, " required"),
        (PUBLISHED_EXAMPLE, f"{storage} required"),
        (LOGIN | {"auth_type": "Password"}, "/auth_type const"),
        (LOGIN | {"is_sandbox": "false"}, "/is_sandbox type"),
        (LOGIN | {"object_storage_config": {"storage_type": "GCS"}}, f"{storage}/storage_type enum"),
        (LOGIN | {"max_job_bytes": 9_999}, "/max_job_bytes minimum"),
        (LOGIN | {"max_jobs_in_flight": 101}, "/max_jobs_in_flight maximum"),
        (LOGIN | {"null_handling": "keep"}, "/null_handling enum"),
    ]
    elsewhere = complete(PUBLISHED_EXAMPLE)
    elsewhere["object_storage_config"]["s3_bucket_region"] = "moon-1"
    refused.append((elsewhere, f"{storage}/s3_bucket_region enum"))
    for config, fault in refused:
        assert fault in spec.faults(config), (config, fault, spec.faults(config))


def documented_configs_fit(spec: Spec) -> None:
    """Airbyte's login is in the schema; a config of another login lacks nothing but that."""
    for name, config in documented():
        if config.get("auth_type", "Client") != "Client":
            assert "/auth_type const" in spec.faults(config), name
        config = LOGIN | config | {"auth_type": "Client"}
        assert not spec.faults(complete(config)), (name, config, spec.faults(complete(config)))


def documented_configs_work(spec: Spec, binary: str, org: Org) -> None:
    """With the simulator's credentials in place of their own they pass `check`."""
    private_key, public_key = simulator.key_pair()
    known = simulator.CREDENTIALS | {"username": "loader@example.com", "private_key": private_key}
    org.post("options", {"jwt_public_key": public_key, "jwt_user": known["username"]})
    client_credentials = simulator.CREDENTIALS | {"auth_type": "ClientCredentials"}
    for name, config in [*documented(), ("client credentials", client_credentials)]:
        config = {key: known.get(key, value) for key, value in config.items()}
        config |= {"login_url": org.url, "object_storage_config": {"storage_type": "None"}}
        status = spec.check(binary, config)
        assert status["status"] == "SUCCEEDED", (name, status)
        status = spec.check(binary, config | {"client_id": "no-client-of-this-org"})
        assert status["status"] == "FAILED" and "client_id" in status["message"], (name, status)


def main(binary: str) -> None:
    binary = str(Path(binary).resolve())
    spec = Spec(binary)
    for test in [
        schema_is_valid,
        configs_of_airbytes_connector_stay_valid,
        configs_are_accepted,
        configs_are_refused,
        documented_configs_fit,
    ]:
        test(spec)
        print(f"spec: {test.__name__} ok", flush=True)
    with simulated_org(binary) as org:
        documented_configs_work(spec, binary, org)
        print(f"spec: {documented_configs_work.__name__} ok", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
