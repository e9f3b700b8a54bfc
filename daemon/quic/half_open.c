/* SPDX-License-Identifier: BSD-2-Clause */
/* The books of half-open connections; kept by accept.c, conn.c and handshake.c. */
#include "quic/half_open.h"

enum {
	PREFIX_V4_BYTES = 4,
	PREFIX_V6_BYTES = 7, /* /56: what one customer has */
};

size_t qb_half_opens_footprint(uint32_t cap)
{
	return qb_slab_footprint(sizeof(struct qb_half_source), cap);
}

void qb_half_opens_init(struct qb_half_opens *h, void *mem, uint32_t cap,
			const struct qb_hash_key *key)
{
	*h = (struct qb_half_opens){
		.key = *key,
		.cap = cap,
		.source_cap = QB_MAX((uint32_t)QB_HALF_OPEN_SOURCE_MAX, cap / 8),
	};
	qb_slab_init(&h->slab, mem, sizeof(struct qb_half_source), cap);
}

static size_t prefix_len(const struct qb_addr *a)
{
	return a->family == 6 ? PREFIX_V6_BYTES : PREFIX_V4_BYTES;
}

static uint32_t bucket_of(const struct qb_half_opens *h, const struct qb_addr *a)
{
	return (uint32_t)(qb_siphash(&h->key, a->ip, prefix_len(a)) % QB_HALF_OPEN_BUCKETS);
}

static struct qb_half_source *find(const struct qb_half_opens *h, const struct qb_addr *a)
{
	struct qb_half_source *s = h->bucket[bucket_of(h, a)];

	while (s && (s->family != a->family || memcmp(s->prefix, a->ip, prefix_len(a)) != 0))
		s = s->bucket_next;
	return s;
}

uint32_t qb_half_open_cnt_of(const struct qb_half_opens *h, const struct qb_addr *peer)
{
	const struct qb_half_source *s = find(h, peer);

	return s ? s->cnt : 0;
}

static const struct qb_half_source *fullest(const struct qb_half_opens *h)
{
	const struct qb_half_source *most = NULL, *s;

	/* New sources come first in the list: among equals the one that has been here longest. */
	for (s = h->sources; s; s = s->next)
		if (!most || s->cnt >= most->cnt)
			most = s;
	return most;
}

struct qb_half_open *qb_half_open_oldest(const struct qb_half_opens *h)
{
	const struct qb_half_source *s = fullest(h);

	return s ? s->oldest : NULL;
}

static bool is_full(const struct qb_half_opens *h)
{
	return h->cnt >= h->cap || h->bytes >= QB_HALF_OPEN_BYTES;
}

struct qb_half_open *qb_half_open_victim(const struct qb_half_opens *h, const struct qb_addr *peer)
{
	const struct qb_half_source *s = peer ? find(h, peer) : NULL;

	if (s && (s->cnt >= h->source_cap || s->bytes >= QB_HALF_OPEN_SOURCE_BYTES))
		return s->oldest;
	return is_full(h) ? qb_half_open_oldest(h) : NULL;
}

static struct qb_half_source *source_new(struct qb_half_opens *h, const struct qb_addr *peer)
{
	struct qb_half_source *s = qb_slab_get(&h->slab);
	uint32_t at = bucket_of(h, peer);

	QB_BUG_ON(!s); /* there is one for each connection */
	*s = (struct qb_half_source){
		.family = peer->family, .bucket_next = h->bucket[at], .next = h->sources};
	memcpy(s->prefix, peer->ip, prefix_len(peer));
	h->bucket[at] = s;
	if (s->next)
		s->next->prev = s;
	h->sources = s;
	return s;
}

static void source_free(struct qb_half_opens *h, struct qb_half_source *s)
{
	struct qb_addr a = {.family = s->family};
	struct qb_half_source **at;

	memcpy(a.ip, s->prefix, sizeof(a.ip));
	for (at = &h->bucket[bucket_of(h, &a)]; *at != s; at = &(*at)->bucket_next)
		;
	*at = s->bucket_next;
	if (s->prev)
		s->prev->next = s->next;
	else
		h->sources = s->next;
	if (s->next)
		s->next->prev = s->prev;
	qb_slab_put(&h->slab, s);
}

void qb_half_open_add(struct qb_half_opens *h, struct qb_half_open *e, const struct qb_addr *peer,
		      uint64_t bytes)
{
	struct qb_half_source *s = find(h, peer);

	if (!s)
		s = source_new(h, peer);
	*e = (struct qb_half_open){.source = s, .older = s->newest, .bytes = bytes};
	if (s->newest)
		s->newest->newer = e;
	else
		s->oldest = e;
	s->newest = e;
	s->cnt++;
	s->bytes += bytes;
	h->cnt++;
	h->bytes += bytes;
}

struct qb_half_open *qb_half_open_weigh(struct qb_half_opens *h, struct qb_half_open *e,
					uint64_t bytes)
{
	struct qb_half_source *s = e->source;

	if (!s)
		return NULL;
	s->bytes += bytes - e->bytes;
	h->bytes += bytes - e->bytes;
	e->bytes = bytes;
	if (s->bytes > QB_HALF_OPEN_SOURCE_BYTES)
		return s->oldest;
	return h->bytes > QB_HALF_OPEN_BYTES ? qb_half_open_oldest(h) : NULL;
}

void qb_half_open_remove(struct qb_half_opens *h, struct qb_half_open *e)
{
	struct qb_half_source *s = e->source;

	if (!s)
		return;
	if (e->newer)
		e->newer->older = e->older;
	else
		s->newest = e->older;
	if (e->older)
		e->older->newer = e->newer;
	else
		s->oldest = e->newer;
	s->cnt--;
	s->bytes -= e->bytes;
	h->cnt--;
	h->bytes -= e->bytes;
	e->source = NULL;
	if (!s->cnt)
		source_free(h, s);
}
