/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of known links and its text: a first line, a line an entry, and a last line without which it is not whole. Used by
 * tunnels on a node's thread and by known_file.c on the main thread. */
#include "known.h"

#include <errno.h>
#include <stdio.h>

#include "base/hash.h"

static const char head[] = "quicbond known links 1";

/* ---- the table ---- */

static struct qb_known_entry *place(struct qb_known_table *t, uint64_t key)
{
	struct qb_known_entry *set = t->slot[key % QB_KNOWN_SETS], *best = &set[0];

	for (uint32_t i = 0; i < QB_KNOWN_WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (!set[i].key || (best->key && set[i].at_ns < best->at_ns))
			best = &set[i];
	}
	return best;
}

void qb_known_put(struct qb_known_table *t, uint64_t key, const struct qb_known *what, uint64_t now_ns)
{
	if (key)
		*place(t, key) = (struct qb_known_entry){.key = key, .what = *what, .at_ns = t->wall_ns + now_ns};
}

bool qb_known_get(const struct qb_known_table *t, uint64_t key, uint64_t now_ns, struct qb_known *out)
{
	const struct qb_known_entry *set = t->slot[key % QB_KNOWN_SETS];
	uint64_t wall_ns = t->wall_ns + now_ns;

	for (uint32_t i = 0; key && i < QB_KNOWN_WAYS; i++) {
		if (set[i].key != key)
			continue;
		*out = set[i].what;
		/* A clock that was set back makes nothing younger than it is by more than that. */
		return set[i].at_ns <= wall_ns + QB_KNOWN_LIFE_NS && wall_ns <= set[i].at_ns + QB_KNOWN_LIFE_NS;
	}
	return false;
}

const struct qb_known_entry *qb_known_at(const struct qb_known_table *t, uint32_t idx)
{
	const struct qb_known_entry *e = &t->slot[idx / QB_KNOWN_WAYS][idx % QB_KNOWN_WAYS];

	return e->key ? e : NULL;
}

uint32_t qb_known_forget(struct qb_known_table *t, uint64_t key)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < QB_KNOWN_SETS * QB_KNOWN_WAYS; i++) {
		struct qb_known_entry *e = &t->slot[i / QB_KNOWN_WAYS][i % QB_KNOWN_WAYS];

		if (!e->key || (key && e->key != key))
			continue;
		*e = (struct qb_known_entry){0};
		cnt++;
	}
	return cnt;
}

uint32_t qb_known_merge(struct qb_known_table *t, const struct qb_known_table *from)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < QB_KNOWN_SETS * QB_KNOWN_WAYS; i++) {
		const struct qb_known_entry *e = qb_known_at(from, i);
		struct qb_known_entry *to;

		if (!e)
			continue;
		to = place(t, e->key);
		if (to->key && to->at_ns >= e->at_ns)
			continue;
		*to = *e;
		cnt++;
	}
	return cnt;
}

/* The key is no secret and need not be: whoever finds a collision has a link that starts with another's knowledge, carefully. */
uint64_t qb_known_key(uint64_t network, const struct qb_addr *addr, const uint8_t peer_key[QB_PUBKEY_LEN])
{
	static const struct qb_hash_key plain;
	uint8_t all[8 + 1 + 16 + QB_PUBKEY_LEN] = {0};

	qb_store_be64(all, network);
	all[8] = addr->family;
	memcpy(all + 9, addr->ip, addr->family == 4 ? 3 : 8); /* a /24 or a /64 is one network */
	memcpy(all + 25, peer_key, QB_PUBKEY_LEN);
	return QB_MAX(qb_siphash(&plain, all, sizeof(all)), UINT64_C(1));
}

/* ---- text ---- */

size_t qb_known_format(const struct qb_known_table *t, char *text)
{
	size_t len = (size_t)sprintf(text, "%s\n", head);
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < QB_KNOWN_SETS * QB_KNOWN_WAYS; i++) {
		const struct qb_known_entry *e = qb_known_at(t, i);

		if (!e)
			continue;
		len += (size_t)snprintf(text + len, QB_KNOWN_LINE_MAX, "%016llx %llu %llu %llu\n", (unsigned long long)e->key,
					(unsigned long long)e->what.cwnd_bytes, (unsigned long long)e->what.rtt_ns,
					(unsigned long long)(e->at_ns / QB_NS_PER_SEC));
		cnt++;
	}
	return len + (size_t)snprintf(text + len, QB_KNOWN_LINE_MAX, "end %u\n", cnt);
}

struct cursor {
	const char *at, *end;
};

/* take_number reads digits of a base up to the character `after`, and that. */
static bool take_number(struct cursor *c, uint32_t base, char after, uint64_t *out)
{
	const char *from = c->at;
	uint64_t n = 0;

	for (; c->at < c->end && *c->at != after; c->at++) {
		uint32_t digit = *c->at >= 'a' ? (uint32_t)(*c->at - 'a') + 10 : (uint32_t)(*c->at - '0');

		if (*c->at < '0' || (*c->at > '9' && *c->at < 'a') || digit >= base || n > (UINT64_MAX - digit) / base)
			return false;
		n = n * base + digit;
	}
	if (c->at == c->end || c->at == from)
		return false;
	c->at++;
	*out = n;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
		return false;
	c->at += len;
	return true;
}

static bool take_entry(struct cursor *c, struct qb_known_entry *e)
{
	uint64_t at_s;

	if (!take_number(c, 16, ' ', &e->key) || !take_number(c, 10, ' ', &e->what.cwnd_bytes) ||
	    !take_number(c, 10, ' ', &e->what.rtt_ns) || !take_number(c, 10, '\n', &at_s) || !e->key ||
	    at_s > UINT64_MAX / 4 / QB_NS_PER_SEC)
		return false;
	e->at_ns = at_s * QB_NS_PER_SEC;
	return true;
}

/* walk reads a whole text; its entries go into t, if there is one. Returns how many, or -EBADMSG. */
static int walk(const char *text, size_t len, struct qb_known_table *t)
{
	struct cursor c = {text, text + len};
	uint64_t told;
	uint32_t cnt = 0;

	if (!take_word(&c, head) || !take_word(&c, "\n"))
		return -EBADMSG;
	while (!take_word(&c, "end ")) {
		struct qb_known_entry e;

		if (cnt == QB_KNOWN_SETS * QB_KNOWN_WAYS || !take_entry(&c, &e))
			return -EBADMSG;
		if (t)
			*place(t, e.key) = e;
		cnt++;
	}
	if (!take_number(&c, 10, '\n', &told) || told != cnt || c.at != c.end)
		return -EBADMSG;
	return (int)cnt;
}

int qb_known_parse(struct qb_known_table *t, const char *text, size_t len)
{
	int cnt = walk(text, len, NULL);

	return cnt < 0 ? cnt : walk(text, len, t);
}
