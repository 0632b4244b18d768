"""Dockerfiles, compose file and Prometheus' rules agree with the code: settings, commands, ports, metrics."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.servers import free_port

from drag_shared.config import Settings, load_settings, variable
from drag_shared.registry import WorkerInfo

SERVICES = ("api", "inference", "ingest", "viewer")
KNOWN = {variable(name) for name in Settings.model_fields}
WORD = re.compile(r"\bDRAG_[A-Z0-9_]+")


def instructions(path: Path) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in order, continuation lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line.strip()]


def final_stage(path: Path) -> list[tuple[str, str]]:
    steps = instructions(path)
    return steps[max(number for number, step in enumerate(steps) if step[0] == "FROM") :]


def last(steps: list[tuple[str, str]], name: str) -> str:
    return [text for step, text in steps if step == name][-1]


@pytest.fixture(scope="module")
def compose(repository: Path) -> Any:
    return yaml.safe_load((repository / "deploy/compose.yaml").read_text("utf-8"))


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def dockerfile(repository: Path, service: str) -> Path:
    return repository / "services" / service / "Dockerfile"


class TestImages:
    def test_every_setting_in_it_is_known(self, dockerfile: Path) -> None:
        # A line of ENV is checked as a service would read it: a wrong value stops here, not at a first start.
        env = dict(re.findall(r"(DRAG_\w+)=(\S+)", last(final_stage(dockerfile), "ENV")))
        assert load_settings(env).host == "0.0.0.0"
        assert set(WORD.findall(dockerfile.read_text("utf-8"))) <= KNOWN

    def test_it_starts_the_service_under_its_name(self, dockerfile: Path, service: str) -> None:
        command = yaml.safe_load(last(final_stage(dockerfile), "CMD"))
        assert command[:3] == ["python", "-m", f"drag_{service}"]
        assert util.find_spec(f"drag_{service}.__main__")

    def test_it_runs_as_a_user_without_rights(self, dockerfile: Path) -> None:
        steps = final_stage(dockerfile)
        user = last(steps, "USER").split(":")[0]
        assert user.isdigit()
        assert int(user) > 0
        assert any(step == "RUN" and f"--uid {user}" in text for step, text in steps)
        assert [step for step, _ in steps].index("USER") > max(n for n, (step, _) in enumerate(steps) if step == "RUN")

    def test_it_stops_by_draining_and_is_watched(self, dockerfile: Path, service: str) -> None:
        steps = final_stage(dockerfile)
        assert last(steps, "STOPSIGNAL") == "SIGTERM"
        assert last(steps, "HEALTHCHECK").endswith(f'CMD ["python", "/app/healthcheck.py", "{service}"]')

    def test_it_opens_its_own_port_alone(self, dockerfile: Path, service: str) -> None:
        ports = {"api": ["5000"], "viewer": ["5001"]}
        assert [text for step, text in final_stage(dockerfile) if step == "EXPOSE"] == ports.get(service, [])
        assert (Settings().api_port, Settings().viewer_port) == (5000, 5001)

    def test_it_installs_the_lock_with_hashes_and_nothing_else(self, dockerfile: Path) -> None:
        installs = [text for step, text in instructions(dockerfile) if step == "RUN" and "install" in text]
        assert len(installs) == 1
        assert "--require-hashes" in installs[0]
        assert "-r requirements.lock" in installs[0]

    def test_what_it_copies_is_there_and_in_the_context(self, dockerfile: Path, repository: Path) -> None:
        let_in = [line[1:] for line in (repository / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
        for step, text in instructions(dockerfile):
            if step == "COPY" and not text.startswith("--from"):
                for source in text.split()[:-1]:
                    assert (repository / source).exists(), source
                    assert any(
                        path == source or source.startswith(path) or path.startswith(f"{source}/") for path in let_in
                    )

    def test_no_other_service_is_in_it(self, dockerfile: Path, service: str) -> None:
        text = dockerfile.read_text("utf-8")
        assert not [other for other in SERVICES if other != service and f"services/{other}" in text]

    def test_inference_sends_nothing_to_the_makers_of_its_runtime(self, repository: Path) -> None:
        steps = final_stage(repository / "services/inference/Dockerfile")
        assert "ORT_DISABLE_TELEMETRY=1" in last(steps, "ENV").split()


class TestMetadata:
    def test_an_image_knows_its_version_and_the_commands_that_it_holds(self, repository: Path, tmp_path: Path) -> None:
        (tmp_path / "drag_shared").mkdir()
        made = _script(repository, "describe").describe(repository / "pyproject.toml", tmp_path)
        project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
        (found,) = metadata.distributions(path=[str(tmp_path)])
        assert (found.name, found.version, made.parent) == ("drag", project["version"], tmp_path)
        commands = {entry.name: entry.module for entry in found.entry_points if entry.group == "drag.commands"}
        assert commands["audit"] == "drag_shared.audit_command"
        assert {module.split(".")[0] for module in commands.values()} == {"drag_shared"}


class TestHealthcheck:
    def test_a_worker_is_well_when_one_of_its_host_is_ready(self, repository: Path) -> None:
        def worker(host: str, **changes: Any) -> WorkerInfo:
            told = {"name": "w", "service": "ingest", "pid": 1, "state": "ready", **changes}
            return WorkerInfo(host=host, **told)

        trouble = _script(repository, "healthcheck").worker_trouble
        assert trouble("ingest", "here", [worker("there"), worker("here")]) == ""
        for others in (
            [],
            [worker("there")],
            [worker("here", service="inference")],
            [worker("here", silent_ms=20_000)],
        ):
            assert "no ingest worker of here is ready" in trouble("ingest", "here", others)
        assert "failed (no memory)" in trouble("ingest", "here", [worker("here", state="failed", reason="no memory")])

    def test_a_server_that_does_not_answer_is_not_well(self, repository: Path) -> None:
        check = _script(repository, "healthcheck")
        port = free_port()
        assert f"http://127.0.0.1:{port}/health/live" in check.trouble("api", Settings(host="0.0.0.0", api_port=port))

    def test_a_redis_that_is_away_is_trouble_of_workers(self, repository: Path) -> None:
        check = _script(repository, "healthcheck")
        assert "cannot serve us now" in check.trouble("ingest", Settings(redis_url=f"redis://127.0.0.1:{free_port()}"))

    @pytest.mark.parametrize("arguments", [[], ["redis"], ["api", "viewer"]])
    def test_it_explains_wrong_usage(
        self, repository: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        assert _script(repository, "healthcheck").main(arguments) == 2
        assert "expected one of api, viewer" in capsys.readouterr().err


class TestCompose:
    def test_every_setting_in_it_is_known(self, compose: Any, repository: Path) -> None:
        for name, service in compose["services"].items():
            names = {key for key in service.get("environment", {}) if key.startswith("DRAG_")}
            assert names <= KNOWN, name
        assert set(WORD.findall((repository / "deploy/compose.yaml").read_text("utf-8"))) <= KNOWN | {"DRAG_"}

    def test_every_setting_can_be_given(self, compose: Any) -> None:
        given = {key for service in compose["services"].values() for key in service.get("environment", {})}
        told_otherwise = {
            "DRAG_HOST", "DRAG_DATA_DIR", "DRAG_MODELS_DIR",  # the images set them
            "DRAG_MAXMEMORY_BYTES",  # of the embedded server; here REDIS_MAXMEMORY
            "DRAG_INGEST_WORKERS", "DRAG_INFERENCE_WORKERS",  # here --scale
            "DRAG_MODELS",  # what `drag run` starts; here one service a model
        }  # fmt: skip
        assert given == KNOWN - told_otherwise

    def test_its_values_are_allowed(self, compose: Any, service: str) -> None:
        environment = compose["services"][service]["environment"]
        env = {name: _with_defaults(value) for name, value in environment.items() if value is not None}
        settings = load_settings(env)
        assert settings.redis_url == "redis://redis:6379"
        assert settings.durability == "always"

    def test_workers_can_be_scaled(self, compose: Any) -> None:
        for name in ("ingest", "inference"):
            assert not {"ports", "container_name", "hostname"} & set(compose["services"][name])

    def test_only_three_ports_are_published_and_on_loopback(self, compose: Any) -> None:
        published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
        assert {name: [_with_defaults(port) for port in ports] for name, ports in published.items()} == {
            "api": ["127.0.0.1:5000:5000"],
            "viewer": ["127.0.0.1:5001:5001"],
            "prometheus": ["127.0.0.1:9090:9090"],
        }

    def test_redis_never_evicts_and_writes_before_it_answers(self, compose: Any) -> None:
        words = [_with_defaults(word) for word in compose["services"]["redis"]["command"]]
        options = dict(zip(words[1::2], words[2::2], strict=True))
        assert options["--appendonly"] == "yes"
        assert options["--appendfsync"] == "always"
        assert options["--maxmemory-policy"] == "noeviction"
        assert options["--maxmemory"] == "1gb"
        assert "redis-data:/data" in compose["services"]["redis"]["volumes"]

    def test_containers_have_longer_to_stop_than_services_to_drain(self, compose: Any, service: str) -> None:
        assert int(compose["services"][service]["stop_grace_period"].rstrip("s")) >= Settings().drain_s + 5

    def test_containers_may_do_nothing_that_they_need_not(self, compose: Any, service: str) -> None:
        told = compose["services"][service]
        assert told["read_only"] is True
        assert told["cap_drop"] == ["ALL"]
        assert told["security_opt"] == ["no-new-privileges:true"]
        assert told["restart"] == "unless-stopped"

    def test_each_service_is_built_from_its_dockerfile(self, compose: Any, service: str, repository: Path) -> None:
        build = compose["services"][service]["build"]
        assert (repository / "deploy" / build["context"] / build["dockerfile"]).samefile(
            repository / "services" / service / "Dockerfile"
        )

    def test_inference_serves_a_model_that_is_there(self, compose: Any, repository: Path) -> None:
        command = compose["services"]["inference"]["command"]
        assert command[:-1] == ["python", "-m", "drag_inference", "--model"]
        assert (repository / "models" / command[-1]).is_dir()


def _with_defaults(value: str) -> str:
    """What compose makes of `${NAME:-default}` when nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))


def _script(repository: Path, name: str) -> Any:
    """A module of deploy/images, which is no package."""
    spec = util.spec_from_file_location(f"deploy_images_{name}", repository / "deploy/images" / f"{name}.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
