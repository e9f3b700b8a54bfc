// SPDX-License-Identifier: BSD-2-Clause
// Serves or fetches files with Cloudflare's quiche (a node addon), over HTTP/0.9, for tests/interop/run.
//
//     peer_quiche.js ADDON serve|fetch [OPTION]... ADDRESS PORT [PATH]...
"use strict";
const crypto = require("crypto");
const dgram = require("dgram");
const fs = require("fs");
const path = require("path");

const flags = new Set(["retry", "key-update", "early"]);
const opts = { root: ".", output: ".", at: 0, idle: 30 };
const args = process.argv.slice(2);
const quiche = require(path.resolve(args.shift()));
opts.verb = args.shift();
while (args[0]?.startsWith("--")) {
	const name = args.shift().slice(2);
	opts[name] = flags.has(name) ? true : args.shift();
}
const [address, port, ...paths] = [args[0], Number(args[1]), ...args.slice(2)];
const family = address.includes(":") ? "udp6" : "udp4";
const isServer = opts.verb === "serve";

function fail(why) {
	console.error(`peer_quiche: ${why}`);
	process.exit(1);
}

function makeConfig() {
	const read = (file) => new Uint8Array(fs.readFileSync(file));
	const c = isServer
		? quiche.Config.withBoringSslCtx(false, true, null, [read(opts.key)], [read(opts.cert)], null)
		: quiche.Config.withBoringSslCtx(true, false, read(opts.ca), null, null, null);
	c.setApplicationProtos(["hq-interop"]);
	c.setMaxIdleTimeout(opts.idle * 1000);
	c.setMaxRecvUdpPayloadSize(1472);
	c.setMaxSendUdpPayloadSize(1200);
	c.setInitialMaxData(16 << 20);
	c.setInitialMaxStreamDataBidiLocal(4 << 20);
	c.setInitialMaxStreamDataBidiRemote(1 << 20);
	c.setInitialMaxStreamDataUni(1 << 20);
	c.setInitialMaxStreamsBidi(100);
	c.setInitialMaxStreamsUni(100);
	c.setActiveConnectionIdLimit(4);
	c.setDisableActiveMigration(false);
	if (opts.session || opts.early)
		c.enableEarlyData();
	return c;
}

const config = makeConfig();
const out = new Uint8Array(1500);
const hostPort = (a) => ({ host: a.address ?? a.host, port: a.port });

// A connection with its timer; sockets by local port.
const sockets = new Map();
class Peer {
	constructor(conn) {
		this.conn = conn;
		this.timer = null;
		this.parts = new Map(); // what comes, by stream
		this.rest = new Map(); // what is to be sent, by stream
		this.bytes = 0;
	}

	flush() {
		for (;;) {
			const sent = this.conn.send(out);
			if (!sent)
				break;
			const [n, info] = sent;
			const socket = sockets.get(info.from.port) ?? sockets.values().next().value;
			socket.send(Buffer.from(out.subarray(0, n)), info.to.port, info.to.host);
		}
		clearTimeout(this.timer);
		const ms = this.conn.timeout();
		if (ms !== null && !this.conn.isClosed())
			this.timer = setTimeout(() => {
				this.conn.onTimeout();
				this.run();
			}, ms + 1);
	}

	run() {
		if (this.conn.isEstablished() || this.conn.isInEarlyData()) {
			for (const id of this.conn.readable())
				this.read(id);
			for (const id of this.rest.keys())
				this.write(id);
		}
		this.moreCids();
		while (this.conn.pathEventNext()) // what happened to paths is of no interest
			;
		this.onRun?.();
		this.flush();
		if (this.conn.isClosed())
			this.onClosed?.();
	}

	moreCids() {
		if (!this.conn.isEstablished())
			return;
		while (this.conn.sourceCidsLeft() > 0) {
			const cid = new Uint8Array(crypto.randomBytes(16));
			this.conn.newSourceCid(cid, BigInt("0x" + crypto.randomBytes(16).toString("hex")), false);
			this.onCid?.(cid);
		}
	}

	read(id) {
		const buf = new Uint8Array(65536);
		for (;;) {
			let got;
			try {
				got = this.conn.streamRecv(id, buf);
			} catch (e) {
				fail(`stream ${id}: ${e.message}`);
			}
			if (!got)
				return;
			const [n, isEnd] = got;
			this.bytes += n;
			this.onData(id, Buffer.from(buf.subarray(0, n)), isEnd);
			if (isEnd)
				return;
		}
	}

	write(id) {
		const data = this.rest.get(id);
		let n;
		try {
			n = this.conn.streamSend(id, data, true);
		} catch (e) {
			this.rest.delete(id);
			return;
		}
		if (n === null)
			return;
		if (n === data.length)
			this.rest.delete(id);
		else
			this.rest.set(id, data.subarray(n));
	}
}

function openSocket(bindTo, onMessage) {
	return new Promise((resolve) => {
		const s = dgram.createSocket({ type: family, recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
		s.on("message", (data, from) => onMessage(data, from, s));
		s.bind(bindTo.port, bindTo.address, () => {
			sockets.set(s.address().port, s);
			resolve(s);
		});
	});
}

// ---- client ----

async function fetchFiles() {
	let peer;
	const onMessage = (data, from, s) => {
		const local = s.address();
		try {
			peer.conn.recv(new Uint8Array(data), { from: hostPort(from), to: { host: local.address, port: local.port } });
		} catch (e) {
			if (process.env.VERBOSE)
				console.error(`recv: ${e.message}`);
		}
		peer.run();
	};
	const socket = await openSocket({ address: opts.local ?? (family === "udp6" ? "::" : "0.0.0.0"), port: 0 }, onMessage);
	const local = hostPort(socket.address());
	peer = new Peer(quiche.Connection.connect("server", new Uint8Array(crypto.randomBytes(16)), local, { host: address, port }, config));
	const wasSession = opts.session && fs.existsSync(opts.session);
	if (wasSession)
		peer.conn.setSession(new Uint8Array(fs.readFileSync(opts.session)));
	let next = 0, done = 0, didStunt = false;
	const stunt = async () => {
		didStunt = true;
		const fresh = hostPort((await openSocket({ address: opts.move, port: 0 }, onMessage)).address());
		peer.conn.migrateSource(fresh);
		peer.run();
	};
	peer.onData = (id, data, isEnd) => {
		if (!peer.parts.has(id))
			peer.parts.set(id, fs.openSync(path.join(opts.output, path.basename(paths[id / 4])), "w"));
		fs.writeSync(peer.parts.get(id), data);
		if (isEnd) {
			fs.closeSync(peer.parts.get(id));
			done++;
		}
	};
	peer.onRun = () => {
		while (next < paths.length && (peer.conn.isEstablished() || peer.conn.isInEarlyData()) && peer.conn.peerStreamsLeftBidi() > 0) {
			peer.rest.set(4 * next, new Uint8Array(Buffer.from(`GET ${paths[next]}\r\n`)));
			peer.write(4 * next);
			next++;
		}
		if (opts.move && !didStunt && peer.bytes >= Number(opts.at) && peer.conn.availableDcids() > 0)
			stunt();
		if (done === paths.length && !peer.over) {
			peer.over = true;
			const session = peer.conn.session();
			if (opts.session && session)
				fs.writeFileSync(opts.session, session);
			if (wasSession && !peer.conn.isResumed())
				fail("not resumed");
			peer.conn.close(true, 0, new Uint8Array());
			peer.flush();
			setTimeout(() => process.exit(0), 20);
		}
	};
	peer.onClosed = () => {
		const e = peer.conn.peerError() ?? peer.conn.localError();
		if (!peer.over)
			fail(`closed: ${e ? `${e.errorCode} ${Buffer.from(e.reason)}` : "timed out"}`);
	};
	setTimeout(() => fail("timed out"), (Number(opts.idle) + 25) * 1000);
	peer.run();
}

// ---- server ----

const byCid = new Map(); // hex to Peer

function load(line) {
	try {
		return fs.readFileSync(path.join(opts.root, path.basename(line.split(/\s+/)[1])));
	} catch (e) {
		return null;
	}
}

function accept(header, scid, odcid, from, local) {
	const peer = new Peer(quiche.Connection.accept(scid, odcid, local, hostPort(from), config));
	peer.onCid = (cid) => byCid.set(Buffer.from(cid).toString("hex"), peer);
	peer.onCid(scid);
	peer.onCid(header.dcid);
	// A forged or damaged first packet leaves quiche's connection of no use: the next one begins anew.
	peer.forget = () => [scid, header.dcid].forEach((cid) => byCid.delete(Buffer.from(cid).toString("hex")));
	peer.onData = (id, data, isEnd) => {
		const line = Buffer.concat([peer.parts.get(id) ?? Buffer.alloc(0), data]);
		peer.parts.set(id, line);
		if (!isEnd)
			return;
		peer.parts.delete(id);
		const body = load(line.toString());
		if (body === null)
			peer.conn.streamShutdown(id, quiche.Shutdown.Write, 0x10);
		else
			peer.rest.set(id, new Uint8Array(body));
	};
	return peer;
}

function seal(from, dcid) {
	const key = Buffer.from(`${from.address}:${from.port} `);
	return new Uint8Array(Buffer.concat([key, Buffer.from(dcid)]));
}

function unseal(from, token) {
	const key = Buffer.from(`${from.address}:${from.port} `);
	const buf = Buffer.from(token);
	return buf.subarray(0, key.length).equals(key) ? new Uint8Array(buf.subarray(key.length)) : null;
}

async function serveFiles() {
	const socket = await openSocket({ address, port }, (data, from) => {
		const bytes = new Uint8Array(data);
		const local = { host: address, port };
		let header;
		try {
			header = quiche.Header.fromSlice(bytes, 16);
		} catch (e) {
			return;
		}
		let peer = byCid.get(Buffer.from(header.dcid).toString("hex"));
		if (!peer) {
			if (header.ty !== quiche.Type.Initial)
				return;
			if (!quiche.versionIsSupported(header.version)) {
				const n = quiche.negotiateVersion(header.scid, header.dcid, out);
				socket.send(Buffer.from(out.subarray(0, n)), from.port, from.address);
				return;
			}
			let scid = new Uint8Array(crypto.randomBytes(16)), odcid = null;
			if (opts.retry && !header.token?.length) {
				const n = quiche.retry(header.scid, header.dcid, scid, seal(from, header.dcid), header.version, out);
				socket.send(Buffer.from(out.subarray(0, n)), from.port, from.address);
				return;
			}
			if (opts.retry) {
				odcid = unseal(from, header.token);
				scid = header.dcid;
				if (!odcid)
					return;
			}
			peer = accept(header, scid, odcid, from, local);
		}
		try {
			peer.conn.recv(bytes, { from: hostPort(from), to: local });
		} catch (e) {
			if (process.env.VERBOSE)
				console.error(`recv: ${e.message}`);
			if (peer.conn.stats().recv === 0) {
				peer.forget();
				return;
			}
		}
		peer.run();
	});
	console.log("ready");
}

(isServer ? serveFiles() : fetchFiles()).catch((e) => fail(e.stack));
