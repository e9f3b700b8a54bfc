# SPDX-License-Identifier: BSD-2-Clause
"""Serves or fetches files with aioquic, over HTTP/3 or HTTP/0.9, for tests/interop/run.

    peer_aioquic.py serve [OPTION]... ADDRESS PORT
    peer_aioquic.py fetch [OPTION]... ADDRESS PORT PATH...
"""

import argparse
import asyncio
import os
import pickle
import socket
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    ProtocolNegotiated,
    StreamDataReceived,
    StreamReset,
)
from aioquic.tls import CipherSuite

V1, V2 = 0x00000001, 0x6B3343CF


class Server(QuicConnectionProtocol):
    def __init__(self, *args, root, **kwargs):
        super().__init__(*args, **kwargs)
        self.root, self.http, self.lines = root, None, {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol == "h3":
            self.http = H3Connection(self._quic)
        elif self.http:
            for h3 in self.http.handle_event(event):
                if isinstance(h3, HeadersReceived):
                    path = dict(h3.headers)[b":path"].decode()
                    body = self.load(path)
                    status = b"200" if body is not None else b"404"
                    length = str(len(body or b"")).encode()
                    self.http.send_headers(h3.stream_id, [(b":status", status), (b"content-length", length)])
                    self.http.send_data(h3.stream_id, body or b"", end_stream=True)
        elif isinstance(event, StreamDataReceived) and event.stream_id % 4 == 0:
            line = self.lines.pop(event.stream_id, b"") + event.data
            if not event.end_stream:
                self.lines[event.stream_id] = line
                return
            body = self.load(line.split()[1].decode())
            if body is None:
                self._quic.reset_stream(event.stream_id, 0x10)
            else:
                self._quic.send_stream_data(event.stream_id, body, end_stream=True)
        self.transmit()

    def load(self, path):
        try:
            with open(self.root + "/" + os.path.basename(path), "rb") as file:
                return file.read()
        except OSError:
            return None


class Client(QuicConnectionProtocol):
    def __init__(self, quic, opts):
        super().__init__(quic)
        self.opts, self.http, self.files = opts, None, {}
        self.bytes, self.failed = 0, 0
        self.over = asyncio.get_running_loop().create_future()

    def begin(self):
        if self.opts.alpn == "h3":
            self.http = H3Connection(self._quic)
        for path in self.opts.paths:
            stream = self._quic.get_next_available_stream_id()
            self.files[stream] = open(self.opts.output + "/" + os.path.basename(path), "wb")
            if self.http:
                self.http.send_headers(
                    stream,
                    [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"server"), (b":path", path.encode())],
                    end_stream=True,
                )
            else:
                self._quic.send_stream_data(stream, b"GET %s\r\n" % path.encode(), end_stream=True)
        self.transmit()

    def got(self, stream, data, is_end):
        file = self.files.get(stream)
        if not file:
            return
        file.write(data)
        self.bytes += len(data)
        if is_end:
            self.files.pop(stream).close()
            if not self.files and not self.over.done():
                self.over.set_result(None)

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated) and not self.over.done():
            self.over.set_exception(ConnectionError(f"{event.error_code:#x} {event.reason_phrase}"))
        elif isinstance(event, StreamReset):
            self.failed += 1
            self.got(event.stream_id, b"", True)
        elif isinstance(event, HandshakeCompleted) and self.opts.early and not event.early_data_accepted:
            self.failed += 1
        if self.http:
            for h3 in self.http.handle_event(event):
                if isinstance(h3, HeadersReceived) and dict(h3.headers)[b":status"] != b"200":
                    self.failed += 1
                if isinstance(h3, (HeadersReceived, DataReceived)):
                    self.got(h3.stream_id, getattr(h3, "data", b""), h3.stream_ended)
        elif isinstance(event, StreamDataReceived):
            self.got(event.stream_id, event.data, event.end_stream)


async def new_socket(client, opts, local):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: client, local_addr=local)


async def fetch(opts, conf):
    if opts.session and os.path.exists(opts.session):
        with open(opts.session, "rb") as file:
            conf.session_ticket = pickle.load(file)
        opts.was_resumed = True
    else:
        opts.early = False

    def keep(ticket):
        with open(opts.session, "wb") as file:
            pickle.dump(ticket, file)

    quic = QuicConnection(configuration=conf, session_ticket_handler=keep if opts.session else None)
    client = Client(quic, opts)
    any_address = "::" if ":" in opts.address else "0.0.0.0"
    await new_socket(client, opts, (any_address, 0))
    if opts.early:
        client.connect((opts.address, opts.port), transmit=False)
        client.begin()
    else:
        client.connect((opts.address, opts.port))
        await client.wait_connected()
        client.begin()
    while not client.over.done() and opts.at and client.bytes < opts.at:
        await asyncio.sleep(0.005)
    if opts.key_update:
        client.request_key_update()
    if opts.move:
        client.change_connection_id()
        client._transport.close()
        await new_socket(client, opts, (opts.move, 0))
        client.transmit()
    await client.over
    if opts.session:
        await asyncio.sleep(0.2)
    client.close()
    await asyncio.wait_for(client.wait_closed(), 5)
    if opts.session and getattr(opts, "was_resumed", False) and not quic.tls.session_resumed:
        client.failed += 1
    return 1 if client.failed else 0


async def run_server(opts, conf):
    tickets = {}
    await serve(
        opts.address,
        opts.port,
        configuration=conf,
        create_protocol=lambda *args, **kwargs: Server(*args, root=opts.root, **kwargs),
        retry=opts.retry,
        session_ticket_fetcher=lambda label: tickets.pop(label, None),
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
    )
    print("ready", flush=True)
    await asyncio.Future()


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("verb", choices=["serve", "fetch"])
    p.add_argument("--alpn", default="h3")
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--ca")
    p.add_argument("--root", default=".")
    p.add_argument("--output", default=".")
    p.add_argument("--retry", action="store_true")
    p.add_argument("--chacha20", action="store_true")
    p.add_argument("--v2", action="store_true", help="prefer version 2")
    p.add_argument("--key-update", action="store_true")
    p.add_argument("--move", help="local address to migrate to")
    p.add_argument("--at", type=int, default=0, help="do so after as many bytes")
    p.add_argument("--session", help="file of the session ticket")
    p.add_argument("--idle", type=int, default=30, help="seconds")
    p.add_argument("--early", action="store_true", help="requests in 0-RTT")
    p.add_argument("address")
    p.add_argument("port", type=int)
    p.add_argument("paths", nargs="*")
    return p.parse_args()


def main():
    opts = parse()
    conf = QuicConfiguration(
        alpn_protocols=[opts.alpn],
        is_client=opts.verb == "fetch",
        max_data=16 << 20,
        max_stream_data=8 << 20,
        max_datagram_frame_size=65536,
        idle_timeout=opts.idle,
    )
    if opts.chacha20:
        conf.cipher_suites = [CipherSuite.CHACHA20_POLY1305_SHA256]
    if opts.v2:
        conf.original_version = V1
        conf.supported_versions = [V2, V1]
    else:
        conf.supported_versions = [V1]
    if opts.verb == "serve":
        conf.load_cert_chain(opts.cert, opts.key)
        asyncio.run(run_server(opts, conf))
        return 0
    conf.server_name = "server"
    conf.load_verify_locations(opts.ca)
    return asyncio.run(asyncio.wait_for(fetch(opts, conf), opts.idle + 25))


sys.exit(main())
