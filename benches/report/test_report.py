"""Tests of the arithmetic and of the page. scripts/bench --self-check runs them."""

import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

from . import contestants, machine, page, plot, stats, summary, workloads

RR64, BULK, GAME, IDLE, MIXED = (
    workloads.named([name])[0] for name in ("rr64", "bulk_down", "game", "idle", "mixed_bulk")
)


def row(contestant, number, busy, ops, p99=100.0, workload="rr64"):
    result = {
        "busy_seconds": busy, "ops": ops, "ops_per_second": ops / 2, "bytes": ops * 64, "bytes_per_second": ops * 32,
        "p50_us": 50.0, "p99_us": p99, "p999_us": 200.0, "errors": 0, "late": 0,
    }  # fmt: skip
    return {"round": number, "workload": workload, "contestant": contestant, "result": result}


def three_rounds(workload="rr64"):
    rows = []
    for number, noise in ((1, 0.0), (2, 0.4), (3, 0.1)):
        # Microseconds for an operation: direct 10, portti 20, nginx 22, envoy 30; in round 2 all cost more.
        for name, cost, p99 in (("direct", 10, 50), ("portti", 20, 110), ("nginx", 22, 100), ("envoy", 30, 300)):
            rows.append(row(name, number, (cost * (1 + noise)) * 0.1, 100_000, p99, workload))
    return rows


class Statistics(unittest.TestCase):
    def test_a_spread_ignores_what_is_missing(self):
        self.assertEqual(stats.spread([3, None, 1, 2]), stats.Spread(2, 1, 3))
        self.assertIsNone(stats.spread([None]))

    def test_added_cost_pairs_rounds_and_skips_those_that_lack_one(self):
        self.assertEqual(stats.added({1: 5.0, 2: 9.0, 3: None}, {1: 2.0, 3: 1.0, 4: 1.0}), [3.0])

    def test_no_work_has_no_cost(self):
        self.assertIsNone(stats.cost(1.0, 0))

    def test_slope_of_a_line_and_of_points_beside_it(self):
        self.assertAlmostEqual(stats.slope([(1000, 5_000), (4000, 11_000), (8000, 19_000)]), 2.0)
        self.assertAlmostEqual(stats.slope([(0, 1), (1, 0), (2, 2)]), 0.5)

    def test_a_ratio_to_nothing_says_nothing(self):
        self.assertIsNone(stats.ratio(1.0, 0))
        self.assertIsNone(stats.ratio(1.0, -0.5))
        self.assertEqual(stats.ratio(1.0, 2.0), 0.5)


class Summary(unittest.TestCase):
    def test_added_cost_is_taken_round_by_round(self):
        lines = {line.contestant: line for line in summary.lines(RR64, three_rounds())}
        self.assertAlmostEqual(lines["portti"].added.median, 11.0)
        self.assertAlmostEqual(lines["portti"].added.high, 14.0)
        self.assertIsNone(lines["direct"].added)

    def test_verdicts_are_against_the_best_peer_by_each_measure(self):
        cost, rate, p99 = summary.verdicts(RR64, summary.lines(RR64, three_rounds()))
        self.assertEqual((cost.peer, cost.met), ("nginx", True))
        self.assertAlmostEqual(cost.ratio, 10 / 12)
        self.assertTrue(rate.met)
        self.assertEqual((p99.peer, p99.met, p99.ratio), ("nginx", False, 1.1))

    def test_a_paced_throughput_may_fall_short_by_rounding(self):
        rows = three_rounds("game")
        for one in rows:
            one["result"]["ops_per_second"] = 19_999.0 if one["contestant"] == "portti" else 20_000.0
        self.assertTrue(summary.verdicts(GAME, summary.lines(GAME, rows))[1].met)

    def test_a_failed_run_is_told_and_not_counted(self):
        rows = three_rounds()
        rows[1] = {"round": 1, "workload": "rr64", "contestant": "portti", "failed": "it ended"}
        line = summary.lines(RR64, rows)[1]
        self.assertEqual((line.contestant, line.failures), ("portti", ("it ended",)))
        self.assertAlmostEqual(line.added.median, 12.5)

    def test_bulk_is_counted_in_gigabytes(self):
        result = {"bytes": 3e9, "bytes_per_second": 1e9, "ops": 0}
        self.assertEqual((BULK.work(result), BULK.throughput(result)), (3.0, 1.0))

    def test_requests_and_messages_are_counted_one_by_one(self):
        for workload in workloads.named(["http_rr", "ws_rr"]):
            self.assertEqual(workload.work({"bytes": 3e9, "ops": 7}), 7)

    def test_mixed_is_each_kind_of_neighbour(self):
        mixed = workloads.named(["mixed"])
        self.assertEqual([workload.name for workload in mixed], ["mixed_bulk", "mixed_handshakes", "mixed_flood"])
        self.assertEqual(workloads.named(["mixed_flood", "rr64"])[1], mixed[2])

    def test_beside_a_neighbour_latency_counts_and_cost_does_not(self):
        rows = three_rounds("mixed_bulk")
        for one in rows:
            one["result"]["neighbour"] = 2.5
        lines = summary.lines(MIXED, rows)
        self.assertEqual((lines[1].added, lines[1].neighbour.median), (None, 2.5))
        self.assertEqual([verdict.measure for verdict in summary.verdicts(MIXED, lines)], ["throughput", "p99"])

    def test_an_unknown_workload_is_an_error(self):
        with self.assertRaisesRegex(KeyError, "no workload rr65"):
            workloads.named(["rr64", "rr65"])


class Contestants(unittest.TestCase):
    def configurations(self, http, neighbour=None):
        everyone = (
            contestants.portti("portti", ""),
            contestants.haproxy("haproxy", "", {}),
            contestants.nginx("nginx", "", {}, "stream.so"),
            contestants.envoy("envoy", ""),
        )
        with tempfile.TemporaryDirectory() as directory:
            place = contestants.Place(Path(directory), 1, ("127.0.0.1:2",), 9000, 3, http=http, neighbour=neighbour)
            for contestant in everyone:
                contestant.command(place)
                [path] = Path(directory).iterdir()
                yield path.read_text()
                path.unlink()

    def test_each_passes_on_requests_where_the_workload_is_of_them(self):
        marks = ('mode = "http"', "mode http", "proxy_pass http://game;", "http_connection_manager")
        for text, mark in zip(self.configurations(http=True), marks, strict=True):
            self.assertIn(mark, text)

    def test_each_has_a_second_listener_for_a_neighbour(self):
        neighbour = contestants.Place(Path("."), 4, ("127.0.0.1:5",), 9000, certificate=Path("keys"), name="neighbour")
        for text in self.configurations(http=False, neighbour=neighbour):
            self.assertEqual(text.count("127.0.0.1:2") + text.count('"port_value": 2'), 1)
            self.assertEqual(text.count("127.0.0.1:5") + text.count('"port_value": 5'), 1)
            self.assertEqual(text.count("keys/both.pem") + text.count("keys/cert.pem"), 1)

    def test_each_passes_on_bytes_else(self):
        for text in self.configurations(http=False):
            self.assertNotIn("http", text)


class Page(unittest.TestCase):
    def setUp(self):
        idle = [
            {"round": 1, "workload": "idle", "contestant": name, "result": {"bytes_per_session": size, "errors": 0}}
            for name, size in (("portti", 1600), ("nginx", 9000))
        ]
        self.tables = [(RR64, summary.lines(RR64, three_rounds())), (IDLE, summary.lines(IDLE, idle))]
        here = machine.Machine("A CPU", 4, (0, 1), "6.1", "Debian", True, 0.2)
        versions = ("portti 0.1", "nginx 1.22")
        self.about = page.About(
            here, versions, ("envoy",), 3, 2.0, "2026-01-01", "scripts/bench", "benchmarks.svg", is_quick=False, apart=True
        )

    def test_marks_are_evaluated_and_the_circumstances_told(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "benchmarks.md"
            page.write(path, self.about, self.tables)
            text = path.read_text()
        for expected in (
            "| `rr64` | 0.83 of nginx | 1.00 of nginx | **1.10** of nginx | **not met** |",
            "1,600 bytes: **not met**, by 100 bytes",
            "| **portti** | 11.0 (10.0–14.0) | 0.83 |",
            "The machine was not quiet",
            "could not be had: envoy",
        ):
            self.assertIn(expected, text)

    def test_notes_below_the_end_mark_are_kept(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "benchmarks.md"
            page.write(path, self.about, self.tables)
            path.write_text(path.read_text() + "\n## What was tried\n")
            page.write(path, self.about, self.tables)
            self.assertEqual(path.read_text().count("## What was tried"), 1)
            self.assertEqual(path.read_text().count(page.END), 1)

    def test_the_plot_is_xml_and_has_a_bar_for_each_figure(self):
        drawing = xml.etree.ElementTree.fromstring(plot.draw(self.tables))
        bars = [part for part in drawing.iter("{http://www.w3.org/2000/svg}rect") if part.find("*") is not None]
        self.assertEqual(len(bars), 5)
