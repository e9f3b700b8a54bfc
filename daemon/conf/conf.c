/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the config file: inih splits lines into keys and values, the table in keys.c says what they
 * mean, check.c holds the whole against itself. Called by main at start and on reload, and by
 * `quicbondctl check`; main thread only.
 *
 * inih forgives much: it cuts long lines and names, takes text after a section's bracket, and tells
 * no line numbers. So it is fed line by line, and the feeder counts, refuses what is malformed, and
 * keeps the section headers for itself.
 */
#include "conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "conf/keys.h"

enum {
	LINE_MAX_LEN = 4096,
	FILE_MAX_BYTES = 16 << 20,
	SITES_FIRST = 16,
	BUFFERS_EDGE = 16384,
	BUFFERS_HUB = 32768,
	/* The kernel holds the UMEM's memory once an interface has AF_XDP. */
	UMEM_SHARE = 4,
	UMEM_MIN = 4096,
};

struct parser {
	const char *file, *text;
	size_t len, off;
	int line;
	bool has_failed;
	const struct qb_conf_names *names;
	char *err;
	struct qb_conf *conf;
	uint32_t site_cap;
	struct qb_conf_seen *seen;
	uint32_t seen_cnt, seen_cap;
};

/* fail keeps the first error: FILE:LINE: and the text. Returns -EINVAL. */
static int QB_PRINTF(2, 3) fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->has_failed)
		return -EINVAL;
	p->has_failed = true;
	n = snprintf(p->err, QB_CONF_ERR_LEN, "%.200s:%d: ", p->file, p->line);
	va_start(ap, fmt);
	vsnprintf(p->err + n, QB_CONF_ERR_LEN - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- the nearest known name ---- */

/* distance is the number of letters to change, add or drop (Levenshtein), case ignored; names are
 * short. */
static uint32_t distance(const char *a, const char *b)
{
	uint32_t row[33], diag, up;
	size_t la = strlen(a), lb = strlen(b);

	if (la > 32 || lb > 32)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= lb; j++)
		row[j] = j;
	for (uint32_t i = 1; i <= la; i++) {
		diag = row[0];
		row[0] = i;
		for (uint32_t j = 1; j <= lb; j++) {
			up = row[j];
			diag += tolower((unsigned char)a[i - 1]) !=
				tolower((unsigned char)b[j - 1]);
			row[j] = QB_MIN(diag, QB_MIN(up, row[j - 1]) + 1);
			diag = up;
		}
	}
	return row[lb];
}

struct nearest {
	const char *wanted, *best;
	uint32_t best_distance;
};

static void nearest_offer(struct nearest *n, const char *name)
{
	uint32_t d = distance(n->wanted, name);

	/* Further off than half the name is a guess, not help. */
	if (d <= strlen(name) / 2 && (!n->best || d < n->best_distance)) {
		n->best = name;
		n->best_distance = d;
	}
}

/* ---- lists of what is allowed, for messages ---- */

struct list_text {
	char text[256];
	size_t len;
};

static void list_add(struct list_text *l, const char *item)
{
	if (l->len < sizeof(l->text))
		l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s%s",
					   l->len ? ", " : "", item);
}

/* ---- sections ---- */

static void *section_base(struct qb_conf *c, const struct qb_conf_section *s, uint32_t idx)
{
	if (strcmp(s->name, "Hub") == 0)
		return &c->hubs[idx];
	if (strcmp(s->name, "Link") == 0)
		return &c->links[idx];
	if (strcmp(s->name, "Site") == 0)
		return &c->sites[idx];
	if (strcmp(s->name, "Policy") == 0)
		return &c->policies[idx];
	return c;
}

const char *qb_conf_seen_name(const struct qb_conf *c, const struct qb_conf_seen *seen)
{
	/* Hubs, links, sites and policies all begin with their name. */
	return seen->section->is_named ? section_base((struct qb_conf *)c, seen->section, seen->idx)
				       : "";
}

/* section_label writes "[Link dsl]". */
static const char *section_label(const struct parser *p, const struct qb_conf_seen *seen,
				 char label[QB_CONF_NAME_LEN + 16])
{
	snprintf(label, QB_CONF_NAME_LEN + 16, "[%s%s%s]", seen->section->name,
		 seen->section->is_named ? " " : "", qb_conf_seen_name(p->conf, seen));
	return label;
}

static int unknown_section(struct parser *p, const char *kind)
{
	struct list_text list = {0};
	struct nearest n = {.wanted = kind};

	for (const struct qb_conf_section *s = qb_conf_sections; s->name; s++) {
		if (!s->is_supported)
			continue;
		list_add(&list, s->name);
		nearest_offer(&n, s->name);
	}
	if (n.best)
		return fail(p, "there is no section [%.32s], the nearest is [%s]; allowed: %s",
			    kind, n.best, list.text);
	return fail(p, "there is no section [%.32s]; allowed: %s", kind, list.text);
}

static const struct qb_conf_section *find_section(const char *kind)
{
	for (const struct qb_conf_section *s = qb_conf_sections; s->name; s++)
		if (strcasecmp(s->name, kind) == 0)
			return s;
	return NULL;
}

/* check_new_section refuses a section that is already there, or one too many. *idx: its place in
 * its array. */
static int check_new_section(struct parser *p, const struct qb_conf_section *s, const char *name,
			     uint32_t *idx)
{
	char label[QB_CONF_NAME_LEN + 16];

	*idx = 0;
	for (uint32_t i = 0; i < p->seen_cnt; i++) {
		if (p->seen[i].section != s)
			continue;
		if (strcmp(qb_conf_seen_name(p->conf, &p->seen[i]), name) == 0)
			return fail(p, "%s is already in line %d; one section of a name is allowed",
				    section_label(p, &p->seen[i], label), p->seen[i].line);
		++*idx;
	}
	if (*idx >= s->max)
		return fail(p, "too many [%s] sections; up to %u are allowed", s->name, s->max);
	return 0;
}

/* apply_defaults parses the defaults of a section's keys into its struct. */
static void apply_defaults(const struct qb_conf_names *names, const struct qb_conf_section *s,
			   void *base)
{
	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		struct qb_conf_value v = {.text = k->def, .size = k->size, .names = names};

		if (k->def && strcmp(k->section, s->name) == 0)
			QB_BUG_ON(k->parse(&v, (char *)base + k->offset) != 0);
	}
}

/* begin_named takes the next slot of the array of hubs, links, policies or sites. */
static int begin_named(struct parser *p, const struct qb_conf_section *s, const char *name,
		       uint32_t idx)
{
	struct qb_conf *c = p->conf;

	if (strcmp(s->name, "Hub") == 0) {
		c->hubs[idx].line = p->line;
		c->hub_cnt = idx + 1;
	} else if (strcmp(s->name, "Link") == 0) {
		c->links[idx].line = p->line;
		c->link_cnt = idx + 1;
	} else if (strcmp(s->name, "Policy") == 0) {
		c->policies[idx].line = p->line;
		c->policy_cnt = idx + 1;
	} else {
		if (idx == p->site_cap) {
			uint32_t cap = p->site_cap ? 2 * p->site_cap : SITES_FIRST;
			struct qb_conf_site *sites = reallocarray(c->sites, cap, sizeof(*sites));

			if (!sites)
				return fail(p, "out of memory");
			c->sites = sites;
			p->site_cap = cap;
		}
		memset(&c->sites[idx], 0, sizeof(c->sites[idx]));
		c->sites[idx].line = p->line;
		c->site_cnt = idx + 1;
	}
	snprintf(section_base(p->conf, s, idx), QB_CONF_NAME_LEN, "%s", name);
	apply_defaults(p->names, s, section_base(p->conf, s, idx));
	return 0;
}

static int begin_section(struct parser *p, const char *kind, const char *name)
{
	const struct qb_conf_section *s = find_section(kind);
	uint32_t idx;

	if (!s)
		return unknown_section(p, kind);
	if (!s->is_supported)
		return fail(p, "[%s] is known, but this version does not support it; remove it",
			    s->name);
	if (s->is_named && !*name)
		return fail(p, "[%s] has no name; write [%s NAME]", s->name, s->name);
	if (!s->is_named && *name)
		return fail(p, "[%s] takes no name; write [%s]", s->name, s->name);
	if (s->is_named && !qb_conf_is_name(name))
		return fail(p,
			    "\"%.64s\" is not a name for a [%s]; allowed: letters, digits, '.', "
			    "'_' and '-', at most 63",
			    name, s->name);
	if (check_new_section(p, s, name, &idx))
		return -EINVAL;
	if (p->seen_cnt == p->seen_cap) {
		uint32_t cap = p->seen_cap ? 2 * p->seen_cap : SITES_FIRST;
		struct qb_conf_seen *seen = reallocarray(p->seen, cap, sizeof(*seen));

		if (!seen)
			return fail(p, "out of memory");
		p->seen = seen;
		p->seen_cap = cap;
	}
	if (s->is_named && begin_named(p, s, name, idx))
		return -EINVAL;
	p->seen[p->seen_cnt++] = (struct qb_conf_seen){.section = s, .idx = idx, .line = p->line};
	return 0;
}

/* read_header takes a line that begins with '[' apart; line is changed. */
static int read_header(struct parser *p, char *line)
{
	char *end = strchr(line, ']'), *kind = line + 1, *name, *rest;

	if (!end)
		return fail(p, "a section's name has no closing bracket; write [NAME]");
	*end = '\0';
	rest = end + 1 + strspn(end + 1, " \t\r");
	if (*rest && *rest != '#' && *rest != ';')
		return fail(p, "\"%.32s\" after a section's name; only a comment is allowed there",
			    rest);
	kind += strspn(kind, " \t");
	while (end > kind && strchr(" \t", end[-1]))
		*--end = '\0';
	name = kind + strcspn(kind, " \t");
	if (*name)
		*name++ = '\0';
	name += strspn(name, " \t");
	return begin_section(p, kind, name);
}

/* ---- keys ---- */

static int unknown_key(struct parser *p, const struct qb_conf_seen *seen, const char *key)
{
	char label[QB_CONF_NAME_LEN + 16];
	struct list_text list = {0};
	struct nearest n = {.wanted = key};
	const char *home = NULL;

	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		if (!k->parse)
			continue;
		if (strcmp(k->section, seen->section->name) == 0) {
			list_add(&list, k->name);
			nearest_offer(&n, k->name);
		} else if (!home && strcasecmp(k->name, key) == 0) {
			home = k->section;
		}
	}
	section_label(p, seen, label);
	if (n.best)
		return fail(p, "%s has no key \"%.32s\", the nearest is %s; allowed: %s", label,
			    key, n.best, list.text);
	if (home)
		return fail(p, "%s has no key \"%.32s\", it belongs in [%s]; allowed: %s", label,
			    key, home, list.text);
	return fail(p, "%s has no key \"%.32s\"; allowed: %s", label, key, list.text);
}

static const struct qb_conf_key *find_key(const struct qb_conf_section *s, const char *key)
{
	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++)
		if (strcmp(k->section, s->name) == 0 && strcasecmp(k->name, key) == 0)
			return k;
	return NULL;
}

static int read_key(struct parser *p, const char *key, const char *text)
{
	struct qb_conf_seen *seen = p->seen_cnt ? &p->seen[p->seen_cnt - 1] : NULL;
	struct qb_conf_value v = {.text = text, .names = p->names};
	char label[QB_CONF_NAME_LEN + 16];
	const struct qb_conf_key *k;
	int slot;

	if (!seen)
		return fail(p, "\"%.32s\" comes before any section; begin with one like [Node]",
			    key);
	k = find_key(seen->section, key);
	if (!k)
		return unknown_key(p, seen, key);
	section_label(p, seen, label);
	if (!k->parse)
		return fail(p, "%s %s is known, but this version does not support it; remove it",
			    label, k->name);
	slot = qb_conf_key_slot(seen->section, k->name);
	QB_BUG_ON(slot < 0 || slot >= QB_CONF_KEYS_MAX);
	if (seen->key_line[slot])
		return fail(p, "%s %s is already in line %d; each key is allowed once", label,
			    k->name, seen->key_line[slot]);
	seen->key_line[slot] = p->line;
	v.size = k->size;
	if (!*text)
		snprintf(v.why, sizeof(v.why), "no value");
	else if (!k->parse(&v, (char *)section_base(p->conf, seen->section, seen->idx) + k->offset))
		return 0;
	if (!v.allowed[0])
		snprintf(v.allowed, sizeof(v.allowed), "%s",
			 k->allowed ? k->allowed : "auto or a name");
	return fail(p, "%s %s: %s; allowed: %s", label, k->name, v.why, v.allowed);
}

/* ---- lines ---- */

/* take_line copies the next line, without leading blanks. Returns false when it is refused. */
static bool take_line(struct parser *p, char *line, size_t cap)
{
	const char *start = p->text + p->off;
	const char *nl = memchr(start, '\n', p->len - p->off);
	size_t len = nl ? (size_t)(nl - start) : p->len - p->off;

	p->line++;
	p->off += len + (nl != NULL);
	if (p->line == 1 && len >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
		start += 3;
		len -= 3;
	}
	if (len && start[len - 1] == '\r')
		len--;
	if (len >= cap) {
		fail(p, "the line has %zu characters; up to %zu are allowed", len, cap - 1);
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)start[i] < 0x20 && start[i] != '\t') || start[i] == 0x7f) {
			fail(p, "control character 0x%02x; only text is allowed", start[i]);
			return false;
		}
	}
	while (len && (*start == ' ' || *start == '\t')) {
		start++;
		len--;
	}
	memcpy(line, start, len);
	line[len] = '\0';
	return true;
}

/* feed is inih's fgets: it gives out key lines as they are and empty lines for all else. */
static char *feed(char *dst, int cap, void *arg)
{
	struct parser *p = arg;
	char line[LINE_MAX_LEN];
	size_t room = QB_MIN(sizeof(line), (size_t)cap - 1);

	if (p->has_failed || p->off >= p->len || !take_line(p, line, room))
		return NULL;
	if (line[0] == '[') {
		if (read_header(p, line))
			return NULL;
		line[0] = '\0';
	} else if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
		line[0] = '\0';
	} else if (line[strcspn(line, "=:#;")] != '=' || line[0] == '=') {
		fail(p, "\"%.40s\" is no setting; allowed: KEY = VALUE, [SECTION], # comment",
		     line);
		return NULL;
	}
	snprintf(dst, (size_t)cap, "%s\n", line);
	return dst;
}

static int on_pair(void *arg, const char *section, const char *key, const char *value)
{
	(void)section;
	return read_key(arg, key, value) == 0;
}

static char comment_marks[] = "#;";

static void run_inih(struct parser *p)
{
	ini_allow_multiline = false;
	ini_allow_no_value = false;
	ini_allow_inline_comments = true;
	ini_inline_comment_prefixes = comment_marks;
	ini_start_comment_prefixes = comment_marks;
	ini_use_stack = true;
	ini_max_line = LINE_MAX_LEN + 2;
	if (ini_parse_stream(feed, p, on_pair, p) != 0)
		fail(p, "not understood; allowed: KEY = VALUE, [SECTION], # comment");
}

/* ---- the whole ---- */

/* default_name takes the host's name up to its first dot. */
static void default_name(struct qb_conf *c)
{
	char host[QB_CONF_NAME_LEN] = "";

	if (gethostname(host, sizeof(host) - 1))
		host[0] = '\0';
	host[strcspn(host, ".")] = '\0';
	snprintf(c->name, sizeof(c->name), "%s", qb_conf_is_name(host) ? host : "node");
}

static bool was_given(const struct parser *p, const char *section, const char *key)
{
	for (uint32_t i = 0; i < p->seen_cnt; i++)
		if (strcmp(p->seen[i].section->name, section) == 0)
			return p->seen[i].key_line[qb_conf_key_slot(p->seen[i].section, key)] != 0;
	return false;
}

static int parse_all(struct parser *p)
{
	struct qb_conf_where w = {.file = p->file, .err = p->err};

	for (const struct qb_conf_section *s = qb_conf_sections; s->name; s++)
		if (!s->is_named)
			apply_defaults(p->names, s, p->conf);
	run_inih(p);
	if (p->has_failed)
		return -EINVAL;
	if (!p->conf->name[0])
		default_name(p->conf);
	if (!was_given(p, "Links", "Auto"))
		p->conf->is_links_auto = p->conf->link_cnt == 0;
	w.seen = p->seen;
	w.seen_cnt = p->seen_cnt;
	w.last_line = QB_MAX(p->line, 1);
	return qb_conf_check(p->conf, &w);
}

struct qb_conf *qb_conf_parse(const char *file, const char *text, size_t len,
			      const struct qb_conf_names *names, char err[QB_CONF_ERR_LEN])
{
	struct parser p = {.file = file, .text = text, .len = len, .names = names, .err = err};
	int rc;

	err[0] = '\0';
	p.conf = calloc(1, sizeof(*p.conf));
	if (!p.conf) {
		snprintf(err, QB_CONF_ERR_LEN, "%.200s: out of memory", file);
		return NULL;
	}
	rc = parse_all(&p);
	free(p.seen);
	if (rc == 0)
		return p.conf;
	qb_conf_free(p.conf);
	return NULL;
}

/* read_file returns the file's bytes (malloc), or NULL with errno. */
static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = NULL, *grown;
	size_t cap = 0, n = 0;
	int saved;

	if (!f)
		return NULL;
	do {
		if (n == cap) {
			cap = cap ? 2 * cap : 16384;
			errno = EFBIG;
			grown = cap <= FILE_MAX_BYTES ? realloc(text, cap) : NULL;
			if (!grown)
				goto fail;
			text = grown;
		}
		n += fread(text + n, 1, cap - n, f);
	} while (!feof(f) && !ferror(f));
	if (ferror(f))
		goto fail;
	fclose(f);
	*len = n;
	return text;
fail:
	saved = errno;
	free(text);
	fclose(f);
	errno = saved;
	return NULL;
}

static int read_blocks(struct qb_conf *c, char err[QB_CONF_ERR_LEN])
{
	size_t len;
	char *text = read_file(c->listen.block_file, &len);
	int ret;

	if (!text) {
		snprintf(err, QB_CONF_ERR_LEN, "%.200s:0: cannot be read: %s; the file of [Listen] BlockFile is needed",
			 c->listen.block_file, strerror(errno));
		return -EINVAL;
	}
	ret = qb_conf_parse_blocks(c->listen.block_file, text, len, &c->listen.blocks, err);
	free(text);
	return ret;
}

struct qb_conf *qb_conf_load(const char *path, const struct qb_conf_names *names,
			     char err[QB_CONF_ERR_LEN])
{
	struct qb_conf *c;
	size_t len;
	char *text = read_file(path, &len);

	if (!text) {
		snprintf(err, QB_CONF_ERR_LEN,
			 "%.200s:0: cannot be read: %s; a config file is needed", path,
			 strerror(errno));
		return NULL;
	}
	c = qb_conf_parse(path, text, len, names, err);
	free(text);
	if (c && c->listen.block_file[0] && read_blocks(c, err)) {
		qb_conf_free(c);
		return NULL;
	}
	return c;
}

void qb_conf_link_init(struct qb_conf_link *l)
{
	memset(l, 0, sizeof(*l));
	apply_defaults(NULL, find_section("Link"), l);
}

bool qb_conf_xdp_eq(const struct qb_conf_xdp *a, const struct qb_conf_xdp *b)
{
	return a->is_busy_polled == b->is_busy_polled && a->has_wakeup == b->has_wakeup &&
	       a->ring_size == b->ring_size;
}

uint32_t qb_conf_buffers(const struct qb_conf *c)
{
	if (c->buffers)
		return c->buffers;
	return c->role == QB_ROLE_HUB ? BUFFERS_HUB : BUFFERS_EDGE;
}

uint32_t qb_conf_umem(const struct qb_conf *c)
{
	uint32_t buffers = qb_conf_buffers(c);

	return c->umem_frames ? c->umem_frames
			      : QB_MIN(QB_MAX(buffers / UMEM_SHARE, UMEM_MIN), buffers);
}

uint32_t qb_conf_marks(const struct qb_conf *c, struct qb_match_mark out[QB_MATCH_ALL_MARKS_MAX])
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < c->policy_cnt; i++) {
		const struct qb_match *m = &c->policies[i].match;

		for (uint32_t k = 0; k < m->mark_cnt && !c->policies[i].via.is_direct; k++) {
			int at = qb_match_mark_find(out, QB_MIN(cnt, (uint32_t)QB_MATCH_ALL_MARKS_MAX), &m->marks[k]);

			if (at < 0 && cnt < QB_MATCH_ALL_MARKS_MAX)
				out[cnt] = m->marks[k];
			cnt += at < 0;
		}
	}
	return cnt;
}

void qb_conf_free(struct qb_conf *c)
{
	if (!c)
		return;
	free(c->sites);
	free(c->listen.blocks.p);
	free(c);
}
