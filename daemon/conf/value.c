/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a key's text to its field, one function a type. Called by conf.c for each line of the file
 * and for the defaults. Lists and addresses are in value_addr.c, Fec in value_fec.c. Each either
 * stores the whole value or says in v->why what is wrong with it.
 */
#include "conf/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/un.h>

#include "base/buf.h"

enum { SHOWN_MAX = 64 };

int qb_conf_refuse(struct qb_conf_value *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int qb_conf_refuse_text(struct qb_conf_value *v, const char *text, const char *what)
{
	bool is_long = strlen(text) > SHOWN_MAX;

	return qb_conf_refuse(v, "\"%.*s%s\" is not %s", SHOWN_MAX, text, is_long ? "..." : "",
			      what);
}

/* ---- words ---- */

int qb_conf_find_word(const char *const *words, const char *text)
{
	for (int i = 0; words && words[i]; i++)
		if (strcasecmp(words[i], text) == 0)
			return i;
	return -1;
}

int qb_conf_parse_bool(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"no",   "yes", "off", "on", "false",
					    "true", "0",   "1",	  NULL};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "yes or no");
	*(bool *)dst = i % 2 == 1;
	return 0;
}

int qb_conf_parse_role(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {
		[QB_ROLE_EDGE] = "edge",
		[QB_ROLE_HUB] = "hub",
		NULL,
	};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a role");
	*(enum qb_role *)dst = (enum qb_role)i;
	return 0;
}

int qb_conf_parse_on_loss(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"block", "direct", NULL};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a choice");
	*(bool *)dst = i == 1;
	return 0;
}

int qb_conf_parse_mesh(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"pairs", "full", NULL};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a mesh");
	*(bool *)dst = i == 1;
	return 0;
}

static const char *const modes[] = {
	[QB_MODE_BOND] = "bond", [QB_MODE_FAILOVER] = "failover", [QB_MODE_SINGLE] = "single", NULL};

const char *qb_bond_mode_name(enum qb_bond_mode m)
{
	return modes[m];
}

int qb_conf_parse_mode(struct qb_conf_value *v, void *dst)
{
	int i = qb_conf_find_word(modes, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a mode");
	*(enum qb_bond_mode *)dst = (enum qb_bond_mode)i;
	return 0;
}

static const char *const grains[] = {
	[QB_GRAIN_AUTO] = "auto", [QB_GRAIN_PACKET] = "packet", [QB_GRAIN_FLOW] = "flow", NULL};

const char *qb_grain_name(enum qb_grain g)
{
	return grains[g];
}

int qb_conf_parse_grain(struct qb_conf_value *v, void *dst)
{
	int i = qb_conf_find_word(grains, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a grain");
	*(enum qb_grain *)dst = (enum qb_grain)i;
	return 0;
}

/* store_word copies the canonical spelling of text into a string field. */
static int store_word(struct qb_conf_value *v, void *dst, const char *const *words,
		      const char *const *later, const char *what)
{
	int i = qb_conf_find_word(words, v->text);

	if (i >= 0) {
		snprintf(dst, v->size, "%s", words[i]);
		return 0;
	}
	i = qb_conf_find_word(later, v->text);
	if (i >= 0)
		return qb_conf_refuse(v, "%s is known, but this version does not support it",
				      later[i]);
	return qb_conf_refuse_text(v, v->text, what);
}

int qb_conf_parse_io(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"auto", "xdp-zerocopy", "xdp-copy", "xdp-generic",
					    "udp",  "uring",	    NULL};

	return store_word(v, dst, words, NULL, "a way of packet I/O");
}

int qb_conf_parse_auto_off(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"auto", "off", NULL};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a choice");
	*(bool *)dst = i == 1;
	return 0;
}

int qb_conf_parse_retry(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"auto", "always", "off", NULL};

	return store_word(v, dst, words, NULL, "a choice");
}

int qb_conf_parse_tier(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"primary", "secondary", "backup", "never", NULL};

	return store_word(v, dst, words, NULL, "a tier");
}

int qb_conf_parse_spin(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"never", "probabilistic", "always", NULL};
	/* Never on all: who does not take part shall not stand out (RFC 9000 §17.4). */
	static const uint8_t of_16[] = {0, 8, 15};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a policy");
	*(uint8_t *)dst = of_16[i];
	return 0;
}

static const char bpf_prefix[] = "bpf:";

/* store_registered takes "auto" or a name that the caller of qb_conf_load handed in. What else is
 * allowed stands in v->allowed already. */
static int store_registered(struct qb_conf_value *v, void *dst, const char *const *names,
			    const char *const *later, const char *what)
{
	static const char *const only_auto[] = {"auto", NULL};
	size_t len;

	if (strcasecmp(v->text, "auto") == 0)
		return store_word(v, dst, only_auto, NULL, what);
	len = strlen(v->allowed);
	len += (size_t)snprintf(v->allowed + len, sizeof(v->allowed) - len, "auto");
	for (int i = 0; names && names[i] && len < sizeof(v->allowed); i++) {
		if (strcmp(names[i], "auto") == 0)
			continue;
		len += (size_t)snprintf(v->allowed + len, sizeof(v->allowed) - len, ", %s",
					names[i]);
	}
	return store_word(v, dst, names, later, what);
}

/* store_bpf takes bpf:FILE; whether the file is a scheduler shows when it is loaded. */
static int store_bpf(struct qb_conf_value *v, void *dst)
{
	const char *file = v->text + sizeof(bpf_prefix) - 1;

	if (*file != '/') {
		snprintf(v->allowed, sizeof(v->allowed), "%s/FILE.o", bpf_prefix);
		return qb_conf_refuse_text(v, file, "an absolute path");
	}
	if (sizeof(bpf_prefix) + strlen(file) > v->size)
		return qb_conf_refuse(v, "the path is longer than %u characters",
				      v->size - (uint32_t)sizeof(bpf_prefix));
	snprintf(dst, v->size, "%s%s", bpf_prefix, file);
	return 0;
}

/* has_form: text is like "minrtt:25%", and the form, "minrtt:0-100%", has the range of its number. */
static bool has_form(const char *form, const char *text)
{
	const char *range = strchr(form, ':');
	size_t head = range ? (size_t)(range - form) + 1 : 0;
	unsigned long least, most, number;
	char *unit, *end;

	if (!range || !strchr(range, '-') || strncasecmp(form, text, head) != 0 || !isdigit((unsigned char)text[head]))
		return false;
	least = strtoul(range + 1, &unit, 10);
	most = strtoul(unit + 1, &unit, 10);
	number = strtoul(text + head, &end, 10);
	return number >= least && number <= most && strcasecmp(end, unit) == 0;
}

/* store_form takes a scheduler's name with a number in it, as it is written, but small. */
static bool store_form(struct qb_conf_value *v, char *dst)
{
	for (int i = 0; v->names && v->names->schedulers[i]; i++) {
		if (!has_form(v->names->schedulers[i], v->text) || strlen(v->text) >= v->size)
			continue;
		for (size_t k = 0; k <= strlen(v->text); k++)
			dst[k] = (char)tolower((unsigned char)v->text[k]);
		return true;
	}
	return false;
}

int qb_conf_parse_sched(struct qb_conf_value *v, void *dst)
{
	size_t len;
	int rc;

	if (strncasecmp(v->text, bpf_prefix, sizeof(bpf_prefix) - 1) == 0)
		return store_bpf(v, dst);
	if (store_form(v, dst))
		return 0;
	rc = store_registered(v, dst, v->names ? v->names->schedulers : NULL, NULL, "a scheduler");
	if (!rc && strchr(dst, '-'))
		rc = qb_conf_refuse_text(v, v->text, "a scheduler: write one number"); /* the form itself */
	len = strlen(v->allowed);
	if (rc)
		snprintf(v->allowed + len, sizeof(v->allowed) - len, ", %s/FILE.o", bpf_prefix);
	return rc;
}

int qb_conf_parse_congestion(struct qb_conf_value *v, void *dst)
{
	static const char *const later[] = {"newreno",	"cubic",  "bbr1", "bbr2", "bbr3",  "copa",
					    "westwood", "prague", "lia",  "olia", "balia", NULL};

	return store_registered(v, dst, v->names ? v->names->congestions : NULL, later,
				"a congestion controller");
}

int qb_conf_parse_link_congestion(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"bond", NULL};

	if (strcasecmp(v->text, words[0]) == 0)
		return store_word(v, dst, words, NULL, "a congestion controller");
	snprintf(v->allowed, sizeof(v->allowed), "bond, ");
	return qb_conf_parse_congestion(v, dst);
}

int qb_conf_parse_policy_sched(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"bond", NULL};

	if (strcasecmp(v->text, words[0]) == 0)
		return store_word(v, dst, words, NULL, "a scheduler");
	snprintf(v->allowed, sizeof(v->allowed), "bond, ");
	return qb_conf_parse_sched(v, dst);
}

int qb_conf_parse_class(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"auto", "realtime", "interactive", "bulk", "background", NULL};

	return store_word(v, dst, words, NULL, "a class");
}

int qb_conf_parse_ordered(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"auto", "yes", "no", NULL};

	return store_word(v, dst, words, NULL, "auto, yes or no");
}

int qb_conf_parse_log_levels(struct qb_conf_value *v, void *dst)
{
	char wrong[QB_LOG_TEXT_LEN];

	if (qb_log_levels_parse(v->text, dst, wrong))
		return qb_conf_refuse_text(v, wrong, "a log level");
	return 0;
}

/* ---- names and paths ---- */

bool qb_conf_is_name(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= QB_CONF_NAME_LEN || text[0] == '-' || text[0] == '.')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("._-", *text))
			return false;
	return true;
}

int qb_conf_parse_name(struct qb_conf_value *v, void *dst)
{
	if (!qb_conf_is_name(v->text))
		return qb_conf_refuse_text(v, v->text, "a name");
	snprintf(dst, v->size, "%s", v->text);
	return 0;
}

int qb_conf_parse_path(struct qb_conf_value *v, void *dst)
{
	if (v->text[0] != '/')
		return qb_conf_refuse_text(v, v->text, "an absolute path");
	if (strlen(v->text) >= v->size)
		return qb_conf_refuse(v, "the path is longer than %u characters", v->size - 1);
	snprintf(dst, v->size, "%s", v->text);
	return 0;
}

int qb_conf_parse_path_or_off(struct qb_conf_value *v, void *dst)
{
	if (strcasecmp(v->text, "off") != 0)
		return qb_conf_parse_path(v, dst);
	*(char *)dst = '\0';
	return 0;
}

int qb_conf_parse_ca(struct qb_conf_value *v, void *dst)
{
	if (strcasecmp(v->text, "system") != 0)
		return qb_conf_parse_path(v, dst);
	snprintf(dst, v->size, "system");
	return 0;
}

int qb_conf_parse_server_name(struct qb_conf_value *v, void *dst)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
	size_t len = strlen(v->text);

	/* A dot in front would stand for every name below. */
	if (len == 0 || len >= v->size || v->text[strspn(v->text, letters)] != '\0' || v->text[0] == '.' ||
	    v->text[len - 1] == '.' || strstr(v->text, ".."))
		return qb_conf_refuse_text(v, v->text, "the name of a server");
	snprintf(dst, v->size, "%s", v->text);
	return 0;
}

int qb_conf_parse_socket(struct qb_conf_value *v, void *dst)
{
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

	if (strlen(v->text) >= room)
		return qb_conf_refuse(v, "the path is longer than %zu characters", room - 1);
	return qb_conf_parse_path(v, dst);
}

bool qb_conf_is_ifname(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 15 || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	for (; *text; text++)
		if (*text == '/' || *text == ':' || *text == '%' || isspace((unsigned char)*text))
			return false;
	return true;
}

int qb_conf_parse_ifname(struct qb_conf_value *v, void *dst)
{
	if (!qb_conf_is_ifname(v->text))
		return qb_conf_refuse_text(v, v->text, "an interface name");
	snprintf(dst, v->size, "%s", v->text);
	return 0;
}

/* ---- numbers ---- */

int qb_conf_parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > UINT32_MAX)
			return -EINVAL;
	}
	if (n < min || n > max)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

int qb_conf_parse_duplicate(struct qb_conf_value *v, void *dst)
{
	uint32_t n = strcasecmp(v->text, "off") == 0;

	if (strcasecmp(v->text, "auto") != 0 && !n && qb_conf_parse_u32(v->text, 2, QB_CONF_LINKS_MAX, &n))
		return qb_conf_refuse_text(v, v->text, "auto, off or a number in the range");
	*(uint32_t *)dst = n;
	return 0;
}

/* parse_auto_u32 stores 0 for "auto". */
static int parse_auto_u32(struct qb_conf_value *v, uint32_t min, uint32_t max, void *dst)
{
	uint32_t n = 0;

	if (strcasecmp(v->text, "auto") != 0 && qb_conf_parse_u32(v->text, min, max, &n))
		return qb_conf_refuse_text(v, v->text, "auto or a number in the range");
	*(uint32_t *)dst = n;
	return 0;
}

int qb_conf_parse_workers(struct qb_conf_value *v, void *dst)
{
	/* One byte of a connection ID carries the worker's number. */
	return parse_auto_u32(v, 1, 255, dst);
}

int qb_conf_parse_buffers(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 4096, 1048576, dst);
}

int qb_conf_parse_umem(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 1024, 1048576, dst);
}

int qb_conf_parse_frame_size(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"2048", "4096", NULL};
	int i = qb_conf_find_word(words, v->text);

	if (i < 0)
		return qb_conf_refuse_text(v, v->text, "a size of frames");
	*(uint32_t *)dst = 2048u << i;
	return 0;
}

int qb_conf_parse_ring_size(struct qb_conf_value *v, void *dst)
{
	uint32_t n = 0;

	if (parse_auto_u32(v, 64, 16384, &n))
		return -EINVAL;
	if (n & (n - 1))
		return qb_conf_refuse_text(v, v->text, "a power of two");
	*(uint32_t *)dst = n;
	return 0;
}

int qb_conf_parse_source_limit(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 1, 100000, dst);
}

int qb_conf_parse_stranger_limit(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 10, 1000000, dst);
}

int qb_conf_parse_rekey_packets(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 1000, 4194304, dst);
}

int qb_conf_parse_padding(struct qb_conf_value *v, void *dst)
{
	uint32_t bytes = 0;

	if (!strcasecmp(v->text, "full"))
		bytes = UINT16_MAX;
	else if (strcasecmp(v->text, "off") != 0 && qb_conf_parse_u32(v->text, 64, 1200, &bytes))
		return qb_conf_refuse_text(v, v->text, "off, full or a number in the range");
	*(uint16_t *)dst = (uint16_t)bytes;
	return 0;
}

int qb_conf_parse_mtu(struct qb_conf_value *v, void *dst)
{
	_Static_assert(1500 <= QB_FRAME_BYTES - QB_HEADROOM - QB_TAILROOM, "fits a frame");

	return parse_auto_u32(v, 1280, 1500, dst);
}

int qb_conf_parse_table(struct qb_conf_value *v, void *dst)
{
	uint32_t table = 0;

	if (parse_auto_u32(v, 1, UINT32_MAX, &table))
		return -EINVAL;
	if (table >= 253 && table <= 255)
		return qb_conf_refuse(v, "table %u is the kernel's own", table);
	*(uint32_t *)dst = table;
	return 0;
}

/* parse_duration reads a number with a unit: "50ms", "1.5s". */
int qb_conf_parse_duration(const char *text, uint64_t *out_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{"us", QB_NS_PER_US},
		{"ms", QB_NS_PER_MS},
		{"s", QB_NS_PER_SEC},
		{"min", 60 * QB_NS_PER_SEC},
		{"h", 3600 * QB_NS_PER_SEC},
	};
	uint64_t whole = 0, frac = 0, scale = 1;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		whole = whole * 10 + (uint64_t)(*text - '0');
		if (whole > 1000000000)
			return -ERANGE;
	}
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9' && scale < 1000000; text++) {
			frac = frac * 10 + (uint64_t)(*text - '0');
			scale *= 10;
		}
		if (scale == 1)
			return -EINVAL;
	}
	while (*text == ' ')
		text++;
	for (size_t i = 0; i < QB_ARRAY_LEN(units); i++) {
		if (strcmp(text, units[i].unit) == 0) {
			*out_ns = whole * units[i].ns + frac * units[i].ns / scale;
			return 0;
		}
	}
	return -EINVAL;
}

/* store_duration: of min_ns to an hour. */
static int store_duration(struct qb_conf_value *v, uint64_t min_ns, const char *like,
			  uint64_t *out_ns)
{
	int rc = qb_conf_parse_duration(v->text, out_ns);

	if (rc == -EINVAL)
		return qb_conf_refuse_text(v, v->text, like);
	if (rc || *out_ns < min_ns || *out_ns > 3600 * QB_NS_PER_SEC)
		return qb_conf_refuse_text(v, v->text, "in the range");
	return 0;
}

int qb_conf_parse_hold(struct qb_conf_value *v, void *dst)
{
	*(uint64_t *)dst = 0;
	if (strcasecmp(v->text, "auto") == 0)
		return 0;
	return store_duration(v, 5 * QB_NS_PER_SEC, "a time with its unit (like 2min)", dst);
}

int qb_conf_parse_recover(struct qb_conf_value *v, void *dst)
{
	*(uint64_t *)dst = 0;
	if (strcasecmp(v->text, "auto") == 0)
		return 0;
	return store_duration(v, QB_NS_PER_SEC, "a time with its unit (like 10s)", dst);
}

/* parse_patience: auto is at once, `never` a word of its own. */
static int parse_patience(struct qb_conf_value *v, const char *never, void *dst)
{
	bool is_never = strcasecmp(v->text, never) == 0;

	if (is_never || strcasecmp(v->text, "auto") == 0) {
		*(uint64_t *)dst = is_never ? QB_NEVER_NS : 0;
		return 0;
	}
	return store_duration(v, QB_NS_PER_SEC, "a time with its unit (like 30s)", dst);
}

int qb_conf_parse_failback(struct qb_conf_value *v, void *dst)
{
	return parse_patience(v, "never", dst);
}

int qb_conf_parse_failover(struct qb_conf_value *v, void *dst)
{
	return parse_patience(v, "manual", dst);
}

int qb_conf_parse_init_window(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 2, 1000, dst);
}

int qb_conf_parse_min_window(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 2, 100, dst);
}

int qb_conf_parse_weight(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 50, 1000, dst);
}

int qb_conf_parse_priority(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 1, 100, dst);
}

/* qb_conf_parse_memory reads bytes: 512K, 4M. */
int qb_conf_parse_memory(struct qb_conf_value *v, void *dst)
{
	const uint64_t kib = 1024, mib = 1024 * kib;
	unsigned long number;
	uint64_t bytes;
	char *end;

	if (strcasecmp(v->text, "auto") == 0) {
		*(uint64_t *)dst = 0;
		return 0;
	}
	number = isdigit((unsigned char)v->text[0]) ? strtoul(v->text, &end, 10) : 0;
	if (number == 0 || (strcasecmp(end, "K") != 0 && strcasecmp(end, "M") != 0))
		return qb_conf_refuse_text(v, v->text, "a size (like 4M)");
	bytes = QB_MIN(number, 1000000ul) * (*end == 'k' || *end == 'K' ? kib : mib);
	if (bytes < 64 * kib || bytes > 64 * mib)
		return qb_conf_refuse_text(v, v->text, "in the range");
	*(uint64_t *)dst = bytes;
	return 0;
}

/* qb_conf_parse_rate reads bit/s: 64000, 20M, 2.5G. */
int qb_conf_parse_rate(struct qb_conf_value *v, void *dst)
{
	static const char units[] = "kMG";
	double rate, unit = 1;
	const char *at;
	char *end;

	if (strcasecmp(v->text, "auto") == 0) {
		*(uint64_t *)dst = 0;
		return 0;
	}
	rate = isdigit((unsigned char)v->text[0]) ? strtod(v->text, &end) : -1;
	if (rate < 0 || v->text[strspn(v->text, "0123456789.")] != *end)
		return qb_conf_refuse_text(v, v->text, "a rate (like 20M)");
	at = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
	for (const char *u = units; at && u <= at; u++)
		unit *= 1000;
	if (*end && (unit <= 1 || end[1]))
		return qb_conf_refuse_text(v, v->text, "a rate (like 20M)");
	if (!(rate * unit >= 64e3 && rate * unit <= 400e9))
		return qb_conf_refuse_text(v, v->text, "in the range");
	*(uint64_t *)dst = (uint64_t)(rate * unit + 0.5);
	return 0;
}

int qb_conf_parse_persistent(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 2, 50, dst);
}

int qb_conf_parse_fail_mult(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 2, 20, dst);
}

int qb_conf_parse_probes(struct qb_conf_value *v, void *dst)
{
	return parse_auto_u32(v, 1, 20, dst);
}

/* parse_time stores a time of 1 ms to 10 s. */
static int parse_time(struct qb_conf_value *v, uint64_t *dst)
{
	uint64_t ns;
	int rc = qb_conf_parse_duration(v->text, &ns);

	if (rc == -EINVAL)
		return qb_conf_refuse_text(v, v->text, "a time with its unit (like 50ms)");
	if (rc || ns < QB_NS_PER_MS || ns > 10 * QB_NS_PER_SEC)
		return qb_conf_refuse_text(v, v->text, "in the range");
	*dst = ns;
	return 0;
}

int qb_conf_parse_auto_time(struct qb_conf_value *v, void *dst)
{
	uint64_t *ns = dst;

	*ns = 0;
	return strcasecmp(v->text, "auto") == 0 ? 0 : parse_time(v, ns);
}

int qb_conf_parse_reorder(struct qb_conf_value *v, void *dst)
{
	struct qb_conf *c = dst;

	c->bond.is_reorder_off = strcasecmp(v->text, "off") == 0;
	c->bond.reorder_max_ns = 0;
	if (c->bond.is_reorder_off || strcasecmp(v->text, "auto") == 0)
		return 0;
	return parse_time(v, &c->bond.reorder_max_ns);
}

int qb_conf_parse_rekey_time(struct qb_conf_value *v, void *dst)
{
	uint64_t ns = 0;
	int rc = strcasecmp(v->text, "off") == 0 ? 0 : qb_conf_parse_duration(v->text, &ns);

	if (rc == -EINVAL)
		return qb_conf_refuse_text(v, v->text, "a time with its unit (like 1h)");
	if (rc || (ns && ns < 10 * QB_NS_PER_SEC) || ns > 24 * 3600 * QB_NS_PER_SEC ||
	    (!ns && strcasecmp(v->text, "off") != 0))
		return qb_conf_refuse_text(v, v->text, "in the range");
	*(uint64_t *)dst = ns;
	return 0;
}

int qb_conf_parse_keepalive(struct qb_conf_value *v, void *dst)
{
	uint64_t ns = 0;
	int rc = 0;

	if (strcasecmp(v->text, "longest") == 0)
		ns = UINT64_MAX;
	else if (strcasecmp(v->text, "auto") != 0)
		rc = qb_conf_parse_duration(v->text, &ns);
	if (rc == -EINVAL)
		return qb_conf_refuse_text(v, v->text, "a time with its unit (like 25s)");
	if (rc || (ns && ns != UINT64_MAX && (ns < QB_NS_PER_SEC || ns > 120 * QB_NS_PER_SEC)))
		return qb_conf_refuse_text(v, v->text, "in the range");
	if (strcasecmp(v->text, "auto") != 0 && !ns)
		return qb_conf_refuse_text(v, v->text, "in the range");
	*(uint64_t *)dst = ns;
	return 0;
}

int qb_conf_parse_deadline(struct qb_conf_value *v, void *dst)
{
	uint64_t ns = 0;
	int rc = strcasecmp(v->text, "auto") ? qb_conf_parse_duration(v->text, &ns) : 0;

	if (rc == -EINVAL)
		return qb_conf_refuse_text(v, v->text, "a time with its unit (like 50ms)");
	if (rc || (ns && (ns < 10 * QB_NS_PER_MS || ns > 2 * QB_NS_PER_SEC)) || (ns == 0 && strcasecmp(v->text, "auto")))
		return qb_conf_refuse_text(v, v->text, "in the range");
	*(uint64_t *)dst = ns;
	return 0;
}

/* ---- keys ---- */

static int base64_digit(char ch)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = ch ? strchr(digits, ch) : NULL;

	return p ? (int)(p - digits) : -1;
}

int qb_conf_parse_pubkey(struct qb_conf_value *v, void *dst)
{
	uint8_t key[QB_CONF_PUBKEY_LEN];
	uint32_t acc = 0, bits = 0, n = 0;

	if (strlen(v->text) != 44 || v->text[43] != '=')
		return qb_conf_refuse(v, "not a public key: it has %zu characters",
				      strlen(v->text));
	for (int i = 0; i < 43; i++) {
		int d = base64_digit(v->text[i]);

		if (d < 0)
			return qb_conf_refuse(v, "not a public key: character %d is not base64",
					      i + 1);
		acc = acc << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			key[n++] = (uint8_t)(acc >> bits);
		}
	}
	/* 43 digits are 258 bits: one spelling a key, so that equal keys are equal text. */
	if (acc & 3)
		return qb_conf_refuse(v,
				      "not a public key: its last digit is impossible (mistyped?)");
	memcpy(dst, key, sizeof(key));
	return 0;
}
