"""Networks and servers that answer a client as they are told to."""

from http.server import BaseHTTPRequestHandler

import httpx
import iopaint_client as sdk

FAST = sdk.Retries(first_s=0.001)


def client(*answers: httpx.Response | Exception, retries: sdk.Retries = FAST) -> tuple[sdk.Client, list[httpx.Request]]:
    """A client whose network gives these answers, the last one again and again."""
    seen: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = answers[min(len(seen), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return sdk.Client("http://service.test", retries=retries, transport=httpx.MockTransport(network)), seen


def tell_json(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
