from __future__ import annotations

import pytest

from sidecar.logic.command_line import program, redacted


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["nginx", "-c", "/etc/nginx.conf"], "nginx -c /etc/nginx.conf"),
        (["app", "--password=hunter2"], "app --password=***"),
        (["app", "--password", "hunter2", "serve"], "app --password *** serve"),
        (["app", "-token", "abc"], "app -token ***"),
        (["app", "--db-password-file=/run/x"], "app --db-password-file=***"),
        (["app", "--password", "--verbose"], "app --password --verbose"),
        (["redis-server", "*:6379", "--requirepass", "x y"], "redis-server *:6379 --requirepass ***"),
        (
            ["java", "-Dspring.datasource.password=x", "-jar", "a.jar"],
            "java -Dspring.datasource.password=*** -jar a.jar",
        ),
        (["env", "API_KEY=1234", "run"], "env API_KEY=*** run"),
        (["mysql", "-p", "secret"], "mysql -p ***"),
        (["server", "-p", "8080"], "server -p 8080"),
        (["docker", "-p", "127.0.0.1:80:80"], "docker -p 127.0.0.1:80:80"),
        (["app", "postgres://user:hunter2@db:5432/x"], "app postgres://user:***@db:5432/x"),
        (["app", "http://h/?a=1&token=abc&b=2"], "app http://h/?a=1&token=***&b=2"),
        (["sh", "-c", "mysql --password 'a b' -h db"], "sh -c mysql --password *** -h db"),
        (["worker: app --secret abc"], "worker: app --secret ***"),
        ([""], ""),
        ([], ""),
    ],
)
def test_what_looks_like_a_credential_is_masked(arguments: list[str], shown: str) -> None:
    assert redacted(arguments) == shown


def test_a_long_command_line_is_cut() -> None:
    assert redacted(["x" * 100_000] * 10_000) == "x" * 997 + "..."


def test_a_credential_across_the_cut_is_masked_too() -> None:
    assert "hunter2" not in redacted(["x" * 985, "--password=hunter2hunter2hunter2"])


@pytest.mark.parametrize(
    ("name", "line", "called"),
    [
        ("nginx", "nginx: master process nginx", "nginx"),
        ("python3", "/usr/bin/python3 -m shop.api --port 80", "shop.api"),
        ("python3.11", "python3.11 -u /srv/shop/worker.py", "worker"),
        ("python", "python /srv/shop/app.py", "shop"),
        ("python", "python app.py", "app"),
        ("python3", "/venv/bin/python3 /venv/bin/gunicorn shop:app", "gunicorn"),
        ("java", "java -Xmx1g -Dspring.datasource.password=*** -jar /opt/shop.jar", "shop"),
        ("node", "node /srv/shop/server.js", "shop"),
        ("node", "node --enable-source-maps dist/index.js", "index"),
        ("python3", "python3 -c import time; time.sleep(9)", "python3"),
        ("python3", "python3", "python3"),
        ("ruby", "ruby ***", "ruby"),
    ],
)
def test_an_interpreter_is_called_by_what_it_runs(name: str, line: str, called: str) -> None:
    assert program(name, line) == called
