/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a node keeps over a restart, so that its tunnels are back in one round trip: an edge its
 * tickets, a hub the keys that it seals tickets with, and the memory of those used. All on the main
 * thread. Nothing here is worth a start that fails: what cannot be read or written is said once,
 * and costs a round trip later.
 *
 *     tickets-ID        edge: replaced whenever a ticket came or was used
 *     tokens-ID         edge: what proves its addresses to hubs (NEW_TOKEN), likewise
 *     ticket-keys-ID    hub: replaced when a key is made, once a day
 *     ticket-used-ID    hub: mapped; worker threads write into it during handshakes
 *     known-ID          what links carried (known_file.c)
 *
 * ID is the beginning of our public key: several daemons may share the folder.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum { POLL_S = 60 };

static const char used_magic[8] = {'q', 'b', 'u', 's', 'e', 'd', '0', '1'};

/* The mapped file. It is whole after a crash of ours, but after one of the machine's only if it was
 * closed before. */
struct qb_used_file {
	char magic[8];
	char boot_id[QB_BOOT_ID_LEN];
	uint64_t is_closed;
	struct qb_strikes strikes;
};

static void file_name(const struct qb_daemon *d, const char *what, char out[QB_KEEP_NAME_LEN])
{
	uint8_t pub[QB_PUBKEY_LEN];
	char err[QB_TLS_ERR_LEN];
	uint64_t id = 0;

	if (qb_key_public(d->key_pem, pub, err) == 0)
		id = qb_load_be64(pub);
	snprintf(out, QB_KEEP_NAME_LEN, "%s-%016llx", what, (unsigned long long)id);
}

void qb_keep_open(struct qb_daemon *d)
{
	char err[160] = "";

	if (qb_statedir_open(d->conf->user, &d->keep.dir, err))
		qb_warn("nothing is kept over a restart: %s", err);
}

void qb_keep_save(struct qb_daemon *d, const char *what, const void *data, size_t len)
{
	char name[QB_KEEP_NAME_LEN];
	int ret;

	file_name(d, what, name);
	ret = qb_statedir_write(&d->keep.dir, name, data, len);
	if (!ret || d->keep.dir.fd < 0)
		d->keep.is_failing = false;
	else if (!d->keep.is_failing) {
		d->keep.is_failing = true;
		qb_warn("cannot keep %s over a restart: %s", name, strerror(-ret));
	}
}

int qb_keep_load(struct qb_daemon *d, const char *what, void *out, size_t cap)
{
	char name[QB_KEEP_NAME_LEN];

	file_name(d, what, name);
	return qb_statedir_read(&d->keep.dir, name, out, cap);
}

/* ---- hub ---- */

static void save_keys(struct qb_daemon *d)
{
	uint8_t bytes[QB_TICKET_KEYS_BYTES];

	qb_tickets_save(d->keep.tickets, bytes);
	qb_keep_save(d, "ticket-keys", bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
}

static void load_keys(struct qb_daemon *d)
{
	uint8_t bytes[QB_TICKET_KEYS_BYTES + 1];
	char name[QB_KEEP_NAME_LEN];
	int len;

	file_name(d, "ticket-keys", name);
	len = qb_statedir_read(&d->keep.dir, name, bytes, sizeof(bytes));
	if (len >= 0 && qb_tickets_load(d->keep.tickets, bytes, (size_t)len, qb_wall_s()) < 0)
		qb_warn("%s is damaged: begun anew; sites that come back need one round trip more, "
			"once",
			name);
	explicit_bzero(bytes, sizeof(bytes));
}

/* map_used maps the memory of used tickets. Returns whether it is whole. */
static bool map_used(struct qb_daemon *d)
{
	char name[QB_KEEP_NAME_LEN], boot_id[QB_BOOT_ID_LEN];
	bool is_new, is_whole, has_boot_id = qb_boot_id(boot_id);
	struct qb_used_file *f;

	file_name(d, "ticket-used", name);
	f = d->keep.used = qb_statedir_map(&d->keep.dir, name, sizeof(*f), &is_new);
	if (!f)
		return false;
	is_whole = !is_new && !memcmp(f->magic, used_magic, sizeof(used_magic)) &&
		   (f->is_closed == 1 ||
		    (has_boot_id && !memcmp(f->boot_id, boot_id, sizeof(boot_id))));
	if (!is_whole) {
		if (!is_new)
			qb_info("%s was not closed before the machine stopped: begun anew", name);
		memset(f, 0, sizeof(*f));
		memcpy(f->magic, used_magic, sizeof(used_magic));
	}
	memcpy(f->boot_id, boot_id, sizeof(boot_id));
	f->is_closed = 0;
	return is_whole;
}

static int start_hub(struct qb_daemon *d)
{
	bool is_whole = map_used(d);

	d->keep.tickets = qb_tickets_new(d->keep.used ? &d->keep.used->strikes : NULL, qb_wall_s());
	if (!d->keep.tickets)
		return -ENOMEM;
	if (!is_whole)
		qb_tickets_distrust(d->keep.tickets, qb_wall_s());
	load_keys(d);
	save_keys(d);
	return 0;
}

/* ---- edge ---- */

static void load_tickets(struct qb_daemon *d, struct qb_edge_tickets *ts)
{
	uint8_t *bytes = malloc(QB_EDGE_TICKETS_BYTES + 1);
	char name[QB_KEEP_NAME_LEN];
	int len;

	memset(ts, 0, sizeof(*ts));
	if (!bytes)
		return;
	file_name(d, "tickets", name);
	len = qb_statedir_read(&d->keep.dir, name, bytes, QB_EDGE_TICKETS_BYTES + 1);
	if (len >= 0 && qb_edge_tickets_parse(ts, bytes, (size_t)len) < 0)
		qb_warn("%s is damaged: the hub is reached without tickets, this once", name);
	explicit_bzero(bytes, QB_EDGE_TICKETS_BYTES + 1);
	free(bytes);
}

static void do_set_tickets(struct qb_worker *w, void *arg)
{
	qb_edge_set_tickets(w->node, arg);
}

static void do_get_tickets(struct qb_worker *w, void *arg)
{
	*(struct qb_edge_tickets *)arg = w->node->edge.tickets;
}

struct token_bytes {
	size_t len;
	uint8_t bytes[QB_TOKENS_BYTES + 1];
};

static void do_set_tokens(struct qb_worker *w, void *arg)
{
	const struct token_bytes *t = arg;

	if (qb_quic_set_tokens(w->node->quic, t->bytes, t->len) < 0)
		qb_warn("the tokens that were kept are damaged: the hub may ask where we are, this once");
}

static void do_get_tokens(struct qb_worker *w, void *arg)
{
	struct token_bytes *t = arg;

	t->len = qb_quic_tokens(w->node->quic, t->bytes);
}

static void keep_tokens(struct qb_daemon *d)
{
	struct token_bytes t;

	qb_worker_call(&d->workers[0], do_get_tokens, &t);
	qb_keep_save(d, "tokens", t.bytes, t.len);
}

static void load_tokens(struct qb_daemon *d)
{
	struct token_bytes t;
	int len = qb_keep_load(d, "tokens", t.bytes, sizeof(t.bytes));

	if (len < 0)
		return;
	t.len = (size_t)len;
	qb_worker_call(&d->workers[0], do_set_tokens, &t);
}

void qb_keep_tickets(struct qb_daemon *d)
{
	struct qb_edge_tickets *ts = malloc(sizeof(*ts));
	uint8_t *bytes = malloc(QB_EDGE_TICKETS_BYTES);

	if (ts && bytes) {
		qb_worker_call(&d->workers[0], do_get_tickets, ts);
		qb_keep_save(d, "tickets", bytes, qb_edge_tickets_build(ts, bytes));
		explicit_bzero(ts, sizeof(*ts));
		explicit_bzero(bytes, QB_EDGE_TICKETS_BYTES);
	}
	free(bytes);
	free(ts);
	keep_tokens(d);
}

void qb_keep_give(struct qb_daemon *d)
{
	struct qb_edge_tickets *ts = d->conf->role == QB_ROLE_EDGE ? malloc(sizeof(*ts)) : NULL;

	if (!ts)
		return;
	load_tickets(d, ts);
	qb_worker_call(&d->workers[0], do_set_tickets, ts);
	explicit_bzero(ts, sizeof(*ts));
	free(ts);
	load_tokens(d);
}

/* ---- both ---- */

int qb_keep_start(struct qb_daemon *d)
{
	return d->conf->role == QB_ROLE_HUB ? start_hub(d) : 0;
}

void qb_keep_poll(struct qb_daemon *d)
{
	uint64_t now_ns = qb_now_ns();

	if (!d->keep.tickets || now_ns < d->keep.poll_ns)
		return;
	d->keep.poll_ns = now_ns + POLL_S * QB_NS_PER_SEC;
	if (qb_tickets_rotate(d->keep.tickets, qb_wall_s()))
		save_keys(d);
}

void qb_keep_close(struct qb_daemon *d)
{
	qb_tickets_free(d->keep.tickets);
	if (d->keep.used)
		d->keep.used->is_closed = 1;
	qb_statedir_unmap(d->keep.used, sizeof(*d->keep.used));
	qb_statedir_close(&d->keep.dir);
}
