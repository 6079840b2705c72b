"""Asks the admin server this and that, over and over: good questions and bad ones, none of which it may remember.

Prints how many answers had another status than they should. Each path and network is another one, so that what is kept by path or
network would grow.
"""

import argparse
import http.client
import itertools
import json

parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("--token", required=True)
parser.add_argument("--requests", type=int, required=True)
args = parser.parse_args()

TOKEN = {"Authorization": f"Bearer {args.token}"}
ORDER = TOKEN | {"Content-Type": "application/json"}


def round_of(number):
    """Questions, and the status of each answer."""
    network = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    yield 200, "GET", "/healthz", None, {}
    yield 200, "GET", "/api/v1/status", None, TOKEN
    yield 401, "GET", f"/api/v1/nothing/{number}", None, {"Authorization": f"Bearer {number}"}
    yield 404, "GET", f"/api/v1/nothing/{number}", None, TOKEN
    yield 405, f"M{number}", "/api/v1/status", None, TOKEN
    yield 421, "GET", "/api/v1/status", None, TOKEN | {"Host": f"host-{number}.example"}
    yield 404, "POST", f"/api/v1/pools/pool-{number}/backends/x/weight", '{"weight": 1}', ORDER
    yield 400, "POST", "/api/v1/bans", f'{{"network": "{number}"}}', ORDER
    yield 201, "POST", "/api/v1/bans", f'{{"network": "{network}", "for": "1h", "why": "{number}"}}', ORDER
    yield 204, "DELETE", f"/api/v1/bans?network={network}", None, TOKEN


def ask(connection, method, path, body, headers):
    """Once more where the server has closed the connection, as it does after a while."""
    for last in (False, True):
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (http.client.HTTPException, ConnectionError):
            connection.close()
            if last:
                raise


connection = http.client.HTTPConnection(args.address, timeout=10)
questions = itertools.chain.from_iterable(map(round_of, itertools.count()))
wrong = sum(ask(connection, *question) != status for status, *question in itertools.islice(questions, args.requests))
print(json.dumps({"requests": args.requests, "wrong": wrong}))
