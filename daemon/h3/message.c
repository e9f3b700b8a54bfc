/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Field sections of requests and responses. Called by request.c when a HEADERS frame is complete
 * and by session.c to send one.
 */
#include "h3/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "h3/frames.h"
#include "h3/qpack.h"

enum pseudo { METHOD, SCHEME, AUTHORITY, PATH, PROTOCOL, STATUS, PSEUDO_CNT };

static const struct {
	const char *name;
	bool is_of_request;
} pseudo_rows[PSEUDO_CNT] = {
	[METHOD] = {":method", true},	    [SCHEME] = {":scheme", true},
	[AUTHORITY] = {":authority", true}, [PATH] = {":path", true},
	[PROTOCOL] = {":protocol", true},   [STATUS] = {":status", false},
};

/* Connection-specific fields have no place in HTTP/3 (RFC 9114 §4.2). */
static const char *const forbidden_names[] = {
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
};

/* A section while it is read. */
struct parse {
	struct qb_h3_message *m;
	uint32_t seen; /* bit per enum pseudo */
	enum qb_h3_kind kind;
	bool is_malformed;
	bool has_regular, has_host, has_content;
	bool is_path_slash, is_path_star, is_options;
	char host[QB_H3_FIELD_MAX];
};

static const char group_name[] = "quicbond-session", group_member[] = ";member=";
static const char path_prefix[] = "/.well-known/masque/ip/";

static bool is_text(const uint8_t *p, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(p, text, len) == 0;
}

static bool has(const struct parse *ps, enum pseudo which)
{
	return ps->seen & 1u << which;
}

/* ---- characters ---- */

/* A token of RFC 9110 §5.6.2; field names must be in lower case. */
static bool is_token(const uint8_t *p, size_t len, bool is_lower)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = p[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (c >= 'A' && c <= 'Z' && !is_lower)
			continue;
		if (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))
			return false;
	}
	return len > 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* A field value of RFC 9110 §5.5: no control characters, no blank at either end. */
static bool is_value(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return false;
	}
	return len == 0 || (!is_blank(p[0]) && !is_blank(p[len - 1]));
}

static bool is_authority(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f || strchr("@/?#\\\"<>", p[i]))
			return false;
	}
	return len > 0;
}

/* ---- fields ---- */

/* keep copies a value; one that is too long is remembered as such, for the answer. */
static void keep(struct qb_h3_message *m, char out[QB_H3_FIELD_MAX], const struct qb_qpack_field *f)
{
	if (f->value_len >= QB_H3_FIELD_MAX) {
		m->is_too_long = true;
		return;
	}
	memcpy(out, f->value, f->value_len);
	out[f->value_len] = 0;
}

static bool is_digits(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
	}
	return len > 0;
}

static uint64_t number_of(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v = v * 10 + p[i] - '0';
	return v;
}

/* A structured field that is not as its definition says is ignored (RFC 9651 §4.2): the request stands without it. */
static void on_group(struct qb_h3_message *m, const struct qb_qpack_field *f)
{
	const uint8_t *semicolon = memchr(f->value, ';', f->value_len);
	size_t id_len = semicolon ? (size_t)(semicolon - f->value) : 0, tail_len = f->value_len - id_len;
	size_t skip = sizeof(group_member) - 1;

	if (!is_digits(f->value, id_len) || id_len > 15 || tail_len <= skip || tail_len > skip + 3 ||
	    memcmp(semicolon, group_member, skip) != 0 || !is_digits(semicolon + skip, tail_len - skip) ||
	    number_of(semicolon + skip, tail_len - skip) > UINT8_MAX)
		return;
	m->group.id = number_of(f->value, id_len);
	m->group.member = (uint8_t)number_of(semicolon + skip, tail_len - skip);
}

/* Repeated values must agree (RFC 9110 §8.6). */
static bool on_content_length(struct qb_h3_message *m, const struct qb_qpack_field *f)
{
	uint64_t v;

	/* 18 digits cannot overflow, and nobody has such a file. */
	if (!is_digits(f->value, f->value_len) || f->value_len > 18)
		return false;
	v = number_of(f->value, f->value_len);
	if (m->content_len != QB_H3_LEN_UNKNOWN && m->content_len != v)
		return false;
	m->content_len = v;
	return true;
}

/* Three digits; 101 does not exist in HTTP/3 (RFC 9114 §4.5). */
static bool on_status(struct qb_h3_message *m, const struct qb_qpack_field *f)
{
	if (f->value_len != 3 || !is_digits(f->value, 3))
		return false;
	m->status = (uint16_t)((f->value[0] - '0') * 100 + (f->value[1] - '0') * 10 +
			       (f->value[2] - '0'));
	return m->status >= 100 && m->status != 101;
}

static bool on_pseudo(struct parse *ps, enum pseudo which, const struct qb_qpack_field *f)
{
	struct qb_h3_message *m = ps->m;

	if (has(ps, which) || ps->has_regular || ps->kind == QB_H3_TRAILERS ||
	    pseudo_rows[which].is_of_request != (ps->kind == QB_H3_REQUEST))
		return false;
	ps->seen |= 1u << which;
	switch (which) {
	case METHOD:
		m->is_connect = is_text(f->value, f->value_len, "CONNECT");
		m->is_get = is_text(f->value, f->value_len, "GET");
		m->is_head = is_text(f->value, f->value_len, "HEAD");
		ps->is_options = is_text(f->value, f->value_len, "OPTIONS");
		return is_token(f->value, f->value_len, false);
	case SCHEME:
		m->is_https = is_text(f->value, f->value_len, "https");
		return is_token(f->value, f->value_len, false);
	case AUTHORITY:
		keep(m, m->authority, f);
		return is_authority(f->value, f->value_len);
	case PATH:
		keep(m, m->path, f);
		ps->is_path_slash = f->value_len > 0 && f->value[0] == '/';
		ps->is_path_star = is_text(f->value, f->value_len, "*");
		return true;
	case PROTOCOL:
		m->has_protocol = true;
		m->is_connect_ip = is_text(f->value, f->value_len, "connect-ip");
		return is_token(f->value, f->value_len, false);
	default:
		return on_status(m, f);
	}
}

static bool on_regular(struct parse *ps, const struct qb_qpack_field *f)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(forbidden_names); i++) {
		if (is_text(f->name, f->name_len, forbidden_names[i]))
			return false;
	}
	ps->has_regular = true;
	if (is_text(f->name, f->name_len, "te"))
		return is_text(f->value, f->value_len, "trailers");
	if (is_text(f->name, f->name_len, "content-type"))
		ps->has_content = true;
	if (is_text(f->name, f->name_len, "content-length")) {
		ps->has_content = true;
		return on_content_length(ps->m, f);
	}
	if (is_text(f->name, f->name_len, "host")) {
		if (ps->has_host)
			return false;
		ps->has_host = true;
		keep(ps->m, ps->host, f);
	}
	if (is_text(f->name, f->name_len, group_name))
		on_group(ps->m, f);
	/* Of several lines the first counts: nobody sends more. */
	if (is_text(f->name, f->name_len, "priority") && !ps->m->priority.is_given)
		qb_h3_priority_parse(f->value, f->value_len, &ps->m->priority);
	return true;
}

static bool on_field(struct parse *ps, const struct qb_qpack_field *f)
{
	if (!is_value(f->value, f->value_len))
		return false;
	if (f->name_len == 0 || f->name[0] != ':')
		return is_token(f->name, f->name_len, true) && on_regular(ps, f);
	for (enum pseudo i = 0; i < PSEUDO_CNT; i++) {
		if (is_text(f->name, f->name_len, pseudo_rows[i].name))
			return on_pseudo(ps, i, f);
	}
	return false;
}

/* ---- messages ---- */

/* RFC 9114 §4.3.1 and §4.4, RFC 9220 §3, RFC 9297 §3.2: what must be there, and what must not. */
static bool is_request_ok(const struct parse *ps)
{
	const struct qb_h3_message *m = ps->m;

	if (!has(ps, METHOD) || (m->has_protocol && !m->is_connect))
		return false;
	if (ps->has_host && has(ps, AUTHORITY) && strcmp(ps->host, m->authority) != 0)
		return false;
	if (m->is_connect && !m->has_protocol)
		return has(ps, AUTHORITY) && !has(ps, SCHEME) && !has(ps, PATH);
	if (!has(ps, SCHEME) || !has(ps, PATH))
		return false;
	if (m->is_connect && (!has(ps, AUTHORITY) || (m->is_connect_ip && ps->has_content)))
		return false;
	if (m->is_https && !has(ps, AUTHORITY) && (!ps->has_host || !ps->host[0]))
		return false;
	return ps->is_path_slash || (ps->is_path_star && ps->is_options) || !m->is_https;
}

/* A success of CONNECT-IP has no content and starts capsules (RFC 9297 §3.2). */
static bool is_response_ok(const struct parse *ps)
{
	uint16_t status = ps->m->status;

	if (ps->kind == QB_H3_RESPONSE)
		return has(ps, STATUS);

	if (status == 204 || status == 205 || status == 206)
		return false;
	return has(ps, STATUS) && !(status / 100 == 2 && ps->has_content);
}

static bool is_message_ok(const struct parse *ps)
{
	switch (ps->kind) {
	case QB_H3_REQUEST:
		return is_request_ok(ps);
	case QB_H3_TUNNEL_RESPONSE:
	case QB_H3_RESPONSE:
		return is_response_ok(ps);
	case QB_H3_TRAILERS:
		break;
	}
	return true;
}

int qb_h3_message_parse(const uint8_t *section, size_t len, enum qb_h3_kind kind,
			struct qb_h3_message *out)
{
	struct parse ps = {.m = out, .kind = kind};
	struct qb_qpack_reader reader;
	struct qb_qpack_field f;
	int ret;

	*out = (struct qb_h3_message){
		.content_len = QB_H3_LEN_UNKNOWN,
		.priority.urgency = QB_H3_URGENCY_DEFAULT,
	};
	ret = qb_qpack_reader_init(&reader, section, len);
	if (ret < 0)
		return -EPROTO;
	/* After a malformed field read on: an error of QPACK's would be the connection's, not the
	 * message's. */
	while ((ret = qb_qpack_next(&reader, &f)) == 1)
		ps.is_malformed |= !on_field(&ps, &f);
	if (ret < 0)
		return ret == -E2BIG ? -E2BIG : -EPROTO;
	if (!ps.is_malformed && !out->is_too_long)
		ps.is_malformed = !is_message_ok(&ps);
	return ps.is_malformed ? -EBADMSG : 0;
}

/* ---- verdict ---- */

/* take_segment cuts the next path segment off *path: up to the '/', which must be there. */
static bool take_segment(const char **path, struct qb_bytes *out)
{
	const char *end = strchr(*path, '/');

	if (!end)
		return false;
	*out = (struct qb_bytes){(const uint8_t *)*path, (size_t)(end - *path)};
	*path = end + 1;
	return true;
}

static bool is_wildcard(struct qb_bytes seg)
{
	return is_text(seg.p, seg.len, "*") || is_text(seg.p, seg.len, "%2A") ||
	       is_text(seg.p, seg.len, "%2a");
}

static bool is_ip_proto(struct qb_bytes seg)
{
	uint32_t v = 0;

	if (seg.len > 3 || !is_digits(seg.p, seg.len))
		return false;
	for (size_t i = 0; i < seg.len; i++)
		v = v * 10 + seg.p[i] - '0';
	return v <= UINT8_MAX;
}

/*
 * The default template of RFC 9484 §3. The tunnel carries whole sites, so a request that narrows it
 * down to a host or a protocol is understood and refused.
 */
static uint16_t path_verdict(const char *path)
{
	struct qb_bytes target, ip_proto;

	if (strncmp(path, path_prefix, strlen(path_prefix)) != 0)
		return 404;
	path += strlen(path_prefix);
	if (!take_segment(&path, &target) || !take_segment(&path, &ip_proto) || *path != 0)
		return 404;
	if (target.len == 0 || (!is_wildcard(ip_proto) && !is_ip_proto(ip_proto)))
		return 400;
	return is_wildcard(target) && is_wildcard(ip_proto) ? 200 : 403;
}

uint16_t qb_h3_request_verdict(const struct qb_h3_message *m)
{
	if (m->is_too_long)
		return 431;
	if (m->is_connect)
		return !m->is_connect_ip ? 501 : !m->is_https ? 400 : path_verdict(m->path);
	return strncmp(m->path, path_prefix, strlen(path_prefix)) == 0 ? 405 : 404;
}

/* ---- building ---- */

static void put_headers(struct qb_wr *w, const uint8_t *section, const struct qb_wr *end)
{
	w->bad |= end->bad;
	qb_wr_varint(w, QB_H3_FRAME_HEADERS);
	qb_wr_varint(w, (uint64_t)(end->p - section));
	qb_wr_bytes(w, section, (size_t)(end->p - section));
}

static void put_group(struct qb_wr *sw, const struct qb_h3_group *group)
{
	char text[48];

	if (!group || !group->id)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 "%s%u", group->id, group_member, group->member);
	qb_qpack_put(sw, group_name, text);
}

void qb_h3_build_request(struct qb_wr *w, const char *authority, const struct qb_h3_group *group)
{
	uint8_t section[QB_H3_FIELD_MAX + 192];
	struct qb_wr sw = qb_wr_init(section, sizeof(section));

	qb_qpack_begin(&sw);
	qb_qpack_put(&sw, ":method", "CONNECT");
	qb_qpack_put(&sw, ":protocol", "connect-ip");
	qb_qpack_put(&sw, ":scheme", "https");
	qb_qpack_put(&sw, ":authority", authority);
	qb_qpack_put(&sw, ":path", "/.well-known/masque/ip/*/*/");
	qb_qpack_put(&sw, "capsule-protocol", "?1");
	put_group(&sw, group);
	put_headers(w, section, &sw);
}

static void put_status(struct qb_wr *sw, uint16_t status)
{
	const char text[4] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
			      (char)('0' + status % 10), 0};

	qb_qpack_begin(sw);
	qb_qpack_put(sw, ":status", text);
}

void qb_h3_build_response(struct qb_wr *w, uint16_t status, const struct qb_h3_group *group)
{
	uint8_t section[128];
	struct qb_wr sw = qb_wr_init(section, sizeof(section));

	put_status(&sw, status);
	if (status == 200) {
		qb_qpack_put(&sw, "capsule-protocol", "?1");
		put_group(&sw, group);
	} else if (status == 405) {
		qb_qpack_put(&sw, "allow", "CONNECT");
	}
	put_headers(w, section, &sw);
}

void qb_h3_build_get(struct qb_wr *w, const char *authority, const char *path)
{
	uint8_t section[2 * QB_H3_FIELD_MAX + 128];
	struct qb_wr sw = qb_wr_init(section, sizeof(section));

	qb_qpack_begin(&sw);
	qb_qpack_put(&sw, ":method", "GET");
	qb_qpack_put(&sw, ":scheme", "https");
	qb_qpack_put(&sw, ":authority", authority);
	qb_qpack_put(&sw, ":path", path);
	put_headers(w, section, &sw);
}

void qb_h3_build_reply(struct qb_wr *w, uint16_t status, uint64_t content_len)
{
	uint8_t section[96];
	struct qb_wr sw = qb_wr_init(section, sizeof(section));
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, content_len);
	put_status(&sw, status);
	qb_qpack_put(&sw, "content-length", text);
	put_headers(w, section, &sw);
}

bool qb_h3_is_path(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f || text[i] == '#')
			return false;
	}
	return text[0] == '/' && len < QB_H3_FIELD_MAX;
}

bool qb_h3_is_authority(const char *text)
{
	return strlen(text) < QB_H3_FIELD_MAX && is_authority((const uint8_t *)text, strlen(text));
}
