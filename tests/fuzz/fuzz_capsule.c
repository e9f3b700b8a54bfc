/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capsules: the first byte is the size of the pieces in which the rest comes. Whatever the pieces,
 * the outcome is that of the whole; and what a capsule said can be built again and is then valid.
 */
#include "h3/capsule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(const struct qb_capsule_parser *p, const union qb_capsule_store *store)
{
	static uint8_t buf[QB_CAPSULE_BYTES_MAX];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	uint32_t cnt = qb_capsule_kept_cnt(p);

	switch (p->type) {
	case QB_CAPSULE_ADDRESS_ASSIGN:
	case QB_CAPSULE_ADDRESS_REQUEST:
		qb_capsule_build_addrs(&w, p->type == QB_CAPSULE_ADDRESS_REQUEST, store->addrs,
				       cnt);
		break;
	case QB_CAPSULE_ROUTE_ADVERTISEMENT:
		qb_capsule_build_routes(&w, store->routes, cnt);
		break;
	case QB_CAPSULE_LINK:
		QB_BUG_ON(strnlen(store->name, sizeof(store->name)) == sizeof(store->name));
		qb_capsule_build_link(&w, &(struct qb_h3_link){p->numbers[0], p->numbers[1], p->numbers[2], store->name,
							       p->numbers[3] & QB_CAPSULE_LINK_METERED});
		break;
	default:
		qb_capsule_build_context(&w, (enum qb_capsule_type)p->type, p->numbers[0], p->numbers[1]);
	}
	QB_BUG_ON(w.bad || !qb_capsule_check(buf, (size_t)(w.p - buf)));
}

/* Returns the capsules, or -1 for a malformed one. */
static int feed(const uint8_t *data, size_t size, size_t step)
{
	static union qb_capsule_store store;
	struct qb_capsule_parser p = {0};
	int cnt = 0;

	for (size_t off = 0; off < size; off += step) {
		struct qb_rd in = qb_rd_init(data + off, QB_MIN(step, size - off));
		int ret;

		while ((ret = qb_capsule_feed(&p, &store, &in)) == 1) {
			rebuild(&p, &store);
			cnt++;
		}
		if (ret < 0)
			return -1;
		QB_BUG_ON(qb_rd_left(&in) != 0);
	}
	return cnt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > 8192)
		return 0;
	QB_BUG_ON(feed(data + 1, size - 1, data[0] + 1u) != feed(data + 1, size - 1, size));
	return 0;
}
