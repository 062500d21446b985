"""The description of the routes, and the files of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emer_edge.server.app import make_app
from emer_edge.server.desk import Desk
from emer_edge.server.metrics import HELP, Metrics
from emer_edge.server.openapi import describe_routes
from emer_edge.server.pages import FOLDER, PageFiles
from emer_edge.server.settings import ServerSettings


def test_every_route_is_described_and_every_description_is_of_a_route() -> None:
    metrics = Metrics()
    app = make_app(Desk(ServerSettings(), metrics, lambda error: None), metrics)
    routes = {str(getattr(route, "path", "")) for route in app.routes}
    assert set(describe_routes()["paths"]) == routes - {"/", "/docs", "/page/{name}"}


def test_errors_are_described_with_their_status() -> None:
    responses = describe_routes()["paths"]["/v1/emotion"]["post"]["responses"]
    assert {"200", "400", "401", "413", "415", "422", "502", "503", "504"} <= set(responses)
    assert responses["503"]["description"] == "BusyError, DeviceError, PackError"


def test_the_page_names_nothing_outside_and_nothing_inline() -> None:
    for path in sorted(FOLDER.iterdir()):
        words = path.read_text()
        outside = set(re.findall(r"https?://[\w.]+", words)) - {"http://www.w3.org"}
        assert outside == set(), path
        if path.suffix == ".html":
            assert re.search(r"<style|style=|<script>|\son\w+=", words) is None, path


def test_files_are_served_by_name_only(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "secret.txt").write_text("2")
    assert set(PageFiles(tmp_path)._files) == {"a.js"}


def test_metrics_are_named_before_they_are_counted() -> None:
    metrics = Metrics()
    metrics.count("emer_refused_total", reason='a"b\\c\nd')
    metrics.observe("emer_wait_seconds", 0.3)
    text = metrics.text()
    assert 'reason="a\\"b\\\\c\\nd"' in text
    assert 'emer_wait_seconds_bucket{le="0.25"} 0\nemer_wait_seconds_bucket{le="0.5"} 1' in text
    assert all(name.startswith("emer_") for name in HELP)
    with pytest.raises(KeyError):
        metrics.count("unknown_total")
        metrics.text()
