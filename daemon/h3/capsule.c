/* SPDX-License-Identifier: BSD-2-Clause */
/* Capsules, both ways. Called by request.c with the payload of DATA frames, by session.c to send.
 */
#include "h3/capsule.h"

#include <errno.h>

enum {
	ENTRY_SKIP = UINT8_MAX, /* entry_need: the rest of the capsule says nothing to us */
	LINK_FLAGS = 3,		/* where they are kept among a link's numbers */
};

static uint8_t ip_bytes(uint8_t version)
{
	return version == 4 ? 4 : version == 6 ? 16 : 0;
}

/* The length of the varint that starts with this byte. */
static uint8_t varint_bytes(uint8_t first)
{
	return (uint8_t)(1u << (first >> 6));
}

/* ---- entries: how long they are, and what is in them ---- */

/* Request ID (i), IP Version (8), IP Address (32..128), IP Prefix Length (8) */
static int addr_need(const uint8_t *e, uint8_t len)
{
	uint8_t version_off, ip_len;

	if (len == 0)
		return 1;
	version_off = varint_bytes(e[0]);
	if (len <= version_off)
		return version_off + 1;
	ip_len = ip_bytes(e[version_off]);
	return ip_len ? version_off + 1 + ip_len + 1 : -EBADMSG;
}

/* IP Version (8), Start IP Address (32..128), End IP Address (32..128), IP Protocol (8) */
static int route_need(const uint8_t *e, uint8_t len)
{
	uint8_t ip_len;

	if (len == 0)
		return 1;
	ip_len = ip_bytes(e[0]);
	return ip_len ? 1 + 2 * ip_len + 1 : -EBADMSG;
}

/* number_cnt: of the integers that a capsule of ours begins with; 0: it is none of ours. */
static uint32_t number_cnt(const struct qb_capsule_parser *p)
{
	if (p->type == QB_CAPSULE_LINK)
		return 3;
	return p->type == QB_CAPSULE_BOND || p->type == QB_CAPSULE_FEC ? 2 : 0;
}

/* Name Length (8), Name (..) */
static int name_need(const struct qb_capsule_parser *p)
{
	if (p->buf_len == 0)
		return 1;
	return p->buf[0] < QB_H3_LINK_NAME_LEN ? 1 + p->buf[0] : -EBADMSG;
}

static bool is_name(const struct qb_capsule_parser *p)
{
	return p->type == QB_CAPSULE_LINK && p->entry_cnt == number_cnt(p);
}

static bool is_flags(const struct qb_capsule_parser *p)
{
	return p->type == QB_CAPSULE_LINK && p->entry_cnt == number_cnt(p) + 1;
}

/* So many integers, perhaps a name and flags, then nothing that we know. */
static int number_need(const struct qb_capsule_parser *p)
{
	if (is_name(p))
		return name_need(p);
	if (p->entry_cnt >= number_cnt(p) && !is_flags(p))
		return ENTRY_SKIP;
	return p->buf_len == 0 ? 1 : varint_bytes(p->buf[0]);
}

/* Bytes that the entry in p->buf has in all, as far as its first bytes tell. */
static int entry_need(const struct qb_capsule_parser *p)
{
	switch (p->type) {
	case QB_CAPSULE_ADDRESS_ASSIGN:
	case QB_CAPSULE_ADDRESS_REQUEST:
		return addr_need(p->buf, p->buf_len);
	case QB_CAPSULE_ROUTE_ADVERTISEMENT:
		return route_need(p->buf, p->buf_len);
	case QB_CAPSULE_BOND:
	case QB_CAPSULE_FEC:
	case QB_CAPSULE_LINK:
		return number_need(p);
	default:
		return ENTRY_SKIP;
	}
}

static bool has_host_bits(const struct qb_prefix *prefix)
{
	struct qb_prefix masked = *prefix;

	for (uint32_t bit = prefix->len; bit < 8u * ip_bytes(prefix->family); bit++)
		masked.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return memcmp(masked.ip, prefix->ip, sizeof(masked.ip)) != 0;
}

/* RFC 9484 §4.7.2: a request has a number of its own, which is not 0. Seen among those that are
 * kept. */
static bool is_request_id_ok(uint64_t id, const struct qb_h3_addr *addrs, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		if (addrs[i].request_id == id)
			return false;
	}
	return id != 0;
}

static int on_addr(struct qb_capsule_parser *p, union qb_capsule_store *store)
{
	struct qb_rd r = qb_rd_init(p->buf, p->buf_len);
	uint32_t kept_cnt = qb_capsule_kept_cnt(p);
	struct qb_h3_addr addr = {0};

	addr.request_id = qb_rd_varint(&r);
	addr.prefix.family = qb_rd_u8(&r);
	qb_rd_copy(&r, addr.prefix.ip, ip_bytes(addr.prefix.family));
	addr.prefix.len = qb_rd_u8(&r);
	if (addr.prefix.len > 8 * ip_bytes(addr.prefix.family) || has_host_bits(&addr.prefix))
		return -EBADMSG;
	if (p->type == QB_CAPSULE_ADDRESS_REQUEST &&
	    !is_request_id_ok(addr.request_id, store->addrs, kept_cnt))
		return -EBADMSG;
	if (kept_cnt < QB_H3_ADDRS_MAX)
		store->addrs[kept_cnt] = addr;
	return 0;
}

/* RFC 9484 §4.7.3: by version, then by protocol, then by address without overlap. */
static bool is_route_after(const struct qb_h3_route *a, const struct qb_h3_route *b)
{
	if (a->family != b->family)
		return a->family < b->family;
	if (a->ip_proto != b->ip_proto)
		return a->ip_proto < b->ip_proto;
	return memcmp(a->last, b->first, sizeof(a->last)) < 0;
}

/* A route for one protocol inside one for all of them; the latter come first, so those kept will
 * do. */
static bool is_route_shadowed(const struct qb_h3_route *route, const struct qb_h3_route *routes,
			      uint32_t cnt)
{
	for (uint32_t i = 0; route->ip_proto != 0 && i < cnt; i++) {
		if (routes[i].family == route->family && routes[i].ip_proto == 0 &&
		    memcmp(routes[i].first, route->last, sizeof(route->last)) <= 0 &&
		    memcmp(route->first, routes[i].last, sizeof(route->first)) <= 0)
			return true;
	}
	return false;
}

static int on_route(struct qb_capsule_parser *p, union qb_capsule_store *store)
{
	struct qb_rd r = qb_rd_init(p->buf, p->buf_len);
	uint32_t kept_cnt = qb_capsule_kept_cnt(p);
	struct qb_h3_route route = {0};

	route.family = qb_rd_u8(&r);
	qb_rd_copy(&r, route.first, ip_bytes(route.family));
	qb_rd_copy(&r, route.last, ip_bytes(route.family));
	route.ip_proto = qb_rd_u8(&r);
	if (memcmp(route.first, route.last, sizeof(route.first)) > 0 ||
	    (p->entry_cnt > 0 && !is_route_after(&p->last_route, &route)) ||
	    is_route_shadowed(&route, store->routes, kept_cnt))
		return -EBADMSG;
	if (kept_cnt < QB_H3_ROUTES_MAX)
		store->routes[kept_cnt] = route;
	p->last_route = route;
	return 0;
}

static bool is_name_char(uint8_t ch)
{
	return ch >= 0x21 && ch <= 0x7e;
}

static int on_name(const struct qb_capsule_parser *p, char name[QB_H3_LINK_NAME_LEN])
{
	uint32_t len = p->buf[0];

	for (uint32_t i = 0; i < len; i++)
		if (!is_name_char(p->buf[1 + i]))
			return -EBADMSG;
	memcpy(name, p->buf + 1, len);
	name[len] = '\0';
	return 0;
}

static int on_entry(struct qb_capsule_parser *p, union qb_capsule_store *store)
{
	int ret = 0;

	if (is_name(p))
		ret = on_name(p, store->name);
	else if (is_flags(p))
		(void)qb_varint_read(p->buf, p->buf_len, &p->numbers[LINK_FLAGS]);
	else if (number_cnt(p))
		(void)qb_varint_read(p->buf, p->buf_len, &p->numbers[p->entry_cnt]);
	else if (p->type == QB_CAPSULE_ROUTE_ADVERTISEMENT)
		ret = on_route(p, store);
	else
		ret = on_addr(p, store);
	p->buf_len = 0;
	p->entry_cnt++;
	/* Until there are some. */
	if (is_name(p)) {
		store->name[0] = '\0';
		p->numbers[LINK_FLAGS] = 0;
	}
	return ret;
}

/* ---- capsules ---- */

static void read_header(struct qb_capsule_parser *p, struct qb_rd *in)
{
	while (!p->is_inside && qb_rd_left(in) > 0) {
		struct qb_rd header;

		p->buf[p->buf_len++] = qb_rd_u8(in);
		header = qb_rd_init(p->buf, p->buf_len);
		p->type = qb_rd_varint(&header);
		p->left = qb_rd_varint(&header);
		if (header.bad)
			continue;
		p->buf_len = 0;
		p->entry_cnt = 0;
		p->is_inside = true;
	}
}

static int read_value(struct qb_capsule_parser *p, union qb_capsule_store *store, struct qb_rd *in)
{
	while (p->left > 0 && qb_rd_left(in) > 0) {
		int need = entry_need(p);
		size_t n = (size_t)qb_min_u64(p->left, qb_rd_left(in));

		if (need < 0)
			return need;
		if (need == ENTRY_SKIP) {
			(void)qb_rd_take(in, n);
			p->left -= n;
			continue;
		}
		n = QB_MIN(n, (size_t)(need - p->buf_len));
		qb_rd_copy(in, p->buf + p->buf_len, n);
		p->buf_len = (uint8_t)(p->buf_len + n);
		p->left -= n;
		need = entry_need(p);
		if (need < 0)
			return need;
		if (need == p->buf_len && on_entry(p, store) < 0)
			return -EBADMSG;
	}
	return 0;
}

/* A capsule is complete: no entry may be cut off, and some need a number of them. */
static int finish(const struct qb_capsule_parser *p)
{
	if (p->buf_len != 0)
		return -EBADMSG;
	switch (p->type) {
	case QB_CAPSULE_ADDRESS_ASSIGN:
	case QB_CAPSULE_ROUTE_ADVERTISEMENT:
		return 1;
	case QB_CAPSULE_ADDRESS_REQUEST:
		return p->entry_cnt > 0 ? 1 : -EBADMSG;
	case QB_CAPSULE_BOND:
	case QB_CAPSULE_FEC:
	case QB_CAPSULE_LINK:
		return p->entry_cnt >= number_cnt(p) ? 1 : -EBADMSG;
	default:
		return 0;
	}
}

int qb_capsule_feed(struct qb_capsule_parser *p, union qb_capsule_store *store, struct qb_rd *in)
{
	int ret = 0;

	do {
		if (!p->is_inside)
			read_header(p, in);
		if (!p->is_inside)
			return 0;
		ret = read_value(p, store, in);
		if (ret < 0 || p->left > 0)
			return ret;
		p->is_inside = false;
		ret = finish(p);
	} while (ret == 0);
	return ret;
}

uint32_t qb_capsule_kept_cnt(const struct qb_capsule_parser *p)
{
	uint32_t max =
		p->type == QB_CAPSULE_ROUTE_ADVERTISEMENT ? QB_H3_ROUTES_MAX : QB_H3_ADDRS_MAX;

	return QB_MIN(p->entry_cnt, max);
}

/* ---- building ---- */

static void put_header(struct qb_wr *w, uint64_t type, uint64_t len)
{
	qb_wr_varint(w, type);
	qb_wr_varint(w, len);
}

void qb_capsule_build_addrs(struct qb_wr *w, bool is_request, const struct qb_h3_addr *addrs,
			    uint32_t cnt)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < cnt; i++)
		len += qb_varint_len(addrs[i].request_id) + 2u + ip_bytes(addrs[i].prefix.family);
	put_header(w, is_request ? QB_CAPSULE_ADDRESS_REQUEST : QB_CAPSULE_ADDRESS_ASSIGN, len);
	for (uint32_t i = 0; i < cnt; i++) {
		const struct qb_prefix *prefix = &addrs[i].prefix;

		qb_wr_varint(w, addrs[i].request_id);
		qb_wr_u8(w, prefix->family);
		qb_wr_bytes(w, prefix->ip, ip_bytes(prefix->family));
		qb_wr_u8(w, prefix->len);
	}
}

void qb_capsule_build_routes(struct qb_wr *w, const struct qb_h3_route *routes, uint32_t cnt)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < cnt; i++)
		len += 2u + 2u * ip_bytes(routes[i].family);
	put_header(w, QB_CAPSULE_ROUTE_ADVERTISEMENT, len);
	for (uint32_t i = 0; i < cnt; i++) {
		qb_wr_u8(w, routes[i].family);
		qb_wr_bytes(w, routes[i].first, ip_bytes(routes[i].family));
		qb_wr_bytes(w, routes[i].last, ip_bytes(routes[i].family));
		qb_wr_u8(w, routes[i].ip_proto);
	}
}

void qb_capsule_build_context(struct qb_wr *w, enum qb_capsule_type type, uint64_t version, uint64_t context)
{
	put_header(w, type, qb_varint_len(version) + qb_varint_len(context));
	qb_wr_varint(w, version);
	qb_wr_varint(w, context);
}

static uint8_t name_len(const char *name)
{
	uint8_t len = 0;

	for (; name[len] && len < QB_H3_LINK_NAME_LEN - 1; len++)
		if (!is_name_char((uint8_t)name[len]))
			return 0;
	return len;
}

void qb_capsule_build_link(struct qb_wr *w, const struct qb_h3_link *link)
{
	uint8_t len = name_len(link->name);
	bool has_name = len || link->is_metered;

	put_header(w, QB_CAPSULE_LINK,
		   qb_varint_len(link->path_id) + qb_varint_len(link->rate_kbps) + qb_varint_len(link->weight) + (has_name ? 1u + len : 0) +
			   link->is_metered);
	qb_wr_varint(w, link->path_id);
	qb_wr_varint(w, link->rate_kbps);
	qb_wr_varint(w, link->weight);
	if (has_name) {
		qb_wr_u8(w, len);
		qb_wr_bytes(w, link->name, len);
	}
	if (link->is_metered)
		qb_wr_varint(w, QB_CAPSULE_LINK_METERED);
}

bool qb_capsule_check(const uint8_t *capsule, size_t len)
{
	struct qb_rd in = qb_rd_init(capsule, len);
	struct qb_capsule_parser p = {0};
	union qb_capsule_store store;

	return qb_capsule_feed(&p, &store, &in) == 1 && qb_rd_left(&in) == 0;
}
