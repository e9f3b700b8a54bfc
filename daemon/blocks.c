/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hub's block list: what the file of [Listen] BlockFile names, and what `quicbondctl block`
 * added, for a time or for good. The guard holds the union; what came by command is kept over a
 * restart. Main thread.
 */
#include "blocks.h"

#include <errno.h>
#include <stdlib.h>

enum { KEPT_BYTES = 16 + 1 + 1 + 8 };

/* place finds where p is, or where it belongs. */
static uint32_t place(const struct qb_blocks *b, const struct qb_prefix *p, bool *is_there)
{
	uint32_t low = 0, high = b->cnt;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int order = qb_prefix_order(&b->list[mid].prefix, p);

		if (order == 0) {
			*is_there = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*is_there = false;
	return low;
}

bool qb_blocks_has(const struct qb_blocks *b, const struct qb_prefix *p)
{
	bool is_there;

	(void)place(b, p, &is_there);
	return is_there;
}

static int insert(struct qb_blocks *b, uint32_t at, const struct qb_prefix *p)
{
	if (b->cnt == QB_BLOCKS_MAX)
		return -ENOSPC;
	if (!b->list)
		b->list = malloc(QB_BLOCKS_MAX * sizeof(*b->list));
	if (!b->list)
		return -ENOMEM;
	memmove(&b->list[at + 1], &b->list[at], (b->cnt - at) * sizeof(*b->list));
	b->list[at] = (struct qb_block){.prefix = *p};
	b->cnt++;
	return 0;
}

static void take_out(struct qb_blocks *b, uint32_t at)
{
	b->cnt--;
	memmove(&b->list[at], &b->list[at + 1], (b->cnt - at) * sizeof(*b->list));
}

int qb_blocks_add(struct qb_blocks *b, const struct qb_prefix *p, uint64_t until_s)
{
	bool is_there;
	uint32_t at = place(b, p, &is_there);
	int ret = 0;

	if (is_there && b->list[at].by_command && b->list[at].until_s == until_s)
		return -EEXIST;
	if (!is_there)
		ret = insert(b, at, p);
	if (ret)
		return ret;
	b->list[at].by_command = true;
	b->list[at].until_s = until_s;
	return 0;
}

int qb_blocks_del(struct qb_blocks *b, const struct qb_prefix *p)
{
	bool is_there;
	uint32_t at = place(b, p, &is_there);

	if (!is_there)
		return -ENOENT;
	if (!b->list[at].by_command)
		return -EPERM;
	b->list[at].by_command = false;
	if (!b->list[at].by_file)
		take_out(b, at);
	return 0;
}

int qb_blocks_take_file(struct qb_blocks *b, const struct qb_prefix *p, uint32_t cnt)
{
	uint32_t kept = 0;
	int ret = 0;

	for (uint32_t i = 0; i < b->cnt; i++) {
		b->list[i].by_file = false;
		if (b->list[i].by_command)
			b->list[kept++] = b->list[i];
	}
	b->cnt = kept;
	for (uint32_t i = 0; i < cnt && !ret; i++) {
		bool is_there;
		uint32_t at = place(b, &p[i], &is_there);

		ret = is_there ? 0 : insert(b, at, &p[i]);
		if (!ret)
			b->list[at].by_file = true;
	}
	return ret;
}

bool qb_blocks_expire(struct qb_blocks *b, uint64_t now_s)
{
	uint32_t kept = 0;
	bool has_changed = false;

	for (uint32_t i = 0; i < b->cnt; i++) {
		struct qb_block *e = &b->list[i];

		if (e->by_command && e->until_s && e->until_s <= now_s) {
			e->by_command = false;
			has_changed = true;
		}
		if (e->by_command || e->by_file)
			b->list[kept++] = *e;
	}
	b->cnt = kept;
	return has_changed;
}

size_t qb_blocks_save(const struct qb_blocks *b, uint8_t *out)
{
	size_t len = 0;

	for (uint32_t i = 0; i < b->cnt; i++) {
		if (!b->list[i].by_command)
			continue;
		memcpy(out + len, b->list[i].prefix.ip, 16);
		out[len + 16] = b->list[i].prefix.family;
		out[len + 17] = b->list[i].prefix.len;
		qb_store_be64(out + len + 18, b->list[i].until_s);
		len += KEPT_BYTES;
	}
	return len;
}

/* is_whole: what qb_prefix_parse could have made. */
static bool is_whole(const struct qb_prefix *p)
{
	char text[QB_PREFIX_STRLEN];
	struct qb_prefix again;

	if ((p->family != 4 && p->family != 6) || p->len > (p->family == 4 ? 32 : 128))
		return false;
	return qb_prefix_parse(qb_prefix_format(p, text), &again) == 0 &&
	       qb_prefix_order(p, &again) == 0;
}

int qb_blocks_load(struct qb_blocks *b, const uint8_t *data, size_t len)
{
	struct qb_prefix p;

	if (len % KEPT_BYTES)
		return -EBADMSG;
	for (size_t at = 0; at < len; at += KEPT_BYTES) {
		int ret;

		p = (struct qb_prefix){.family = data[at + 16], .len = data[at + 17]};
		memcpy(p.ip, data + at, 16);
		ret = is_whole(&p) ? qb_blocks_add(b, &p, qb_load_be64(data + at + 18)) : -EBADMSG;
		if (ret && ret != -EEXIST)
			return ret;
	}
	return 0;
}

void qb_blocks_fini(struct qb_blocks *b)
{
	free(b->list);
	*b = (struct qb_blocks){.list = NULL};
}
