/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of sections and keys, and the parsers of values. Inside of conf/, and for the tests
 * that hold the table against the manual page.
 */
#pragma once

#include "conf/conf.h"

enum {
	QB_CONF_FOR_EDGE = 1 << QB_ROLE_EDGE,
	QB_CONF_FOR_HUB = 1 << QB_ROLE_HUB,
	QB_CONF_FOR_BOTH = QB_CONF_FOR_EDGE | QB_CONF_FOR_HUB,
	QB_CONF_KEYS_MAX = 32, /* keys of one section */
};

/* One value on its way into the config, and what is to be said when it is refused. */
struct qb_conf_value {
	const char *text;
	uint32_t size; /* of the field, for strings */
	const struct qb_conf_names *names;
	char why[200];
	char allowed[200]; /* "" at first: the table's text holds */
};

struct qb_conf_key {
	const char *section, *name;
	/*
	 * parse stores the value at dst (the section's struct + offset). Returns 0, or -EINVAL with
	 * why set. NULL: a key that this version knows by name only.
	 */
	int (*parse)(struct qb_conf_value *v, void *dst);
	uint32_t offset, size;
	uint8_t roles;
	bool is_required;
	const char *def; /* parsed like a value that the user wrote; NULL: none */
	const char *allowed;
	const char *help;
};

struct qb_conf_section {
	const char *name;
	bool is_named; /* [Link NAME], one of several */
	bool is_supported;
	uint8_t roles;
	uint32_t max; /* how many there may be */
};

extern const struct qb_conf_section qb_conf_sections[]; /* name NULL at the end */
extern const struct qb_conf_key qb_conf_keys[];		/* by section; name NULL at the end */

/* qb_conf_parse is qb_conf_load on text that is in memory; file is the name that errors carry. */
struct qb_conf *qb_conf_parse(const char *file, const char *text, size_t len,
			      const struct qb_conf_names *names, char err[QB_CONF_ERR_LEN]);

/* Parsers of values, one a type. */
int qb_conf_parse_bool(struct qb_conf_value *v, void *dst);
int qb_conf_parse_role(struct qb_conf_value *v, void *dst);
int qb_conf_parse_name(struct qb_conf_value *v, void *dst);
int qb_conf_parse_path(struct qb_conf_value *v, void *dst);
int qb_conf_parse_path_or_off(struct qb_conf_value *v, void *dst);
int qb_conf_parse_ca(struct qb_conf_value *v, void *dst);
int qb_conf_parse_server_name(struct qb_conf_value *v, void *dst);
int qb_conf_parse_socket(struct qb_conf_value *v, void *dst);
int qb_conf_parse_ifname(struct qb_conf_value *v, void *dst);
int qb_conf_parse_workers(struct qb_conf_value *v, void *dst);
int qb_conf_parse_buffers(struct qb_conf_value *v, void *dst);
int qb_conf_parse_frame_size(struct qb_conf_value *v, void *dst);
int qb_conf_parse_ring_size(struct qb_conf_value *v, void *dst);
int qb_conf_parse_umem(struct qb_conf_value *v, void *dst);
int qb_conf_parse_mtu(struct qb_conf_value *v, void *dst);
int qb_conf_parse_rekey_time(struct qb_conf_value *v, void *dst);
int qb_conf_parse_rekey_packets(struct qb_conf_value *v, void *dst);
int qb_conf_parse_table(struct qb_conf_value *v, void *dst);
int qb_conf_parse_init_window(struct qb_conf_value *v, void *dst);
int qb_conf_parse_min_window(struct qb_conf_value *v, void *dst);
int qb_conf_parse_auto_time(struct qb_conf_value *v, void *dst); /* uint64_t, 0 for auto */
int qb_conf_parse_memory(struct qb_conf_value *v, void *dst);
int qb_conf_parse_rate(struct qb_conf_value *v, void *dst);
int qb_conf_parse_weight(struct qb_conf_value *v, void *dst);
int qb_conf_parse_priority(struct qb_conf_value *v, void *dst);
int qb_conf_parse_persistent(struct qb_conf_value *v, void *dst);
int qb_conf_parse_fail_mult(struct qb_conf_value *v, void *dst);
int qb_conf_parse_probes(struct qb_conf_value *v, void *dst);
int qb_conf_parse_recover(struct qb_conf_value *v, void *dst); /* uint64_t, 0 for auto */
int qb_conf_parse_mesh(struct qb_conf_value *v, void *dst); /* bool: full */
int qb_conf_parse_on_loss(struct qb_conf_value *v, void *dst);
int qb_conf_parse_spin(struct qb_conf_value *v, void *dst);
int qb_conf_parse_padding(struct qb_conf_value *v, void *dst);
int qb_conf_parse_auto_off(struct qb_conf_value *v, void *dst); /* bool: off */
int qb_conf_parse_retry(struct qb_conf_value *v, void *dst);
int qb_conf_parse_source_limit(struct qb_conf_value *v, void *dst);   /* uint32_t, 0 for auto */
int qb_conf_parse_stranger_limit(struct qb_conf_value *v, void *dst); /* the same */
int qb_conf_parse_pubkey(struct qb_conf_value *v, void *dst);
int qb_conf_parse_auto_addr(struct qb_conf_value *v, void *dst);
int qb_conf_parse_metrics_addr(struct qb_conf_value *v, void *dst); /* struct qb_addr, family 0 for off */
int qb_conf_parse_io(struct qb_conf_value *v, void *dst);
int qb_conf_parse_tier(struct qb_conf_value *v, void *dst);
int qb_conf_parse_mode(struct qb_conf_value *v, void *dst); /* enum qb_bond_mode */
int qb_conf_parse_grain(struct qb_conf_value *v, void *dst); /* enum qb_grain */
int qb_conf_parse_sched(struct qb_conf_value *v, void *dst);
int qb_conf_parse_congestion(struct qb_conf_value *v, void *dst);
int qb_conf_parse_link_congestion(struct qb_conf_value *v, void *dst);
int qb_conf_parse_keepalive(struct qb_conf_value *v, void *dst);
int qb_conf_parse_prefixes(struct qb_conf_value *v, void *dst);
int qb_conf_parse_pool4(struct qb_conf_value *v, void *dst);
int qb_conf_parse_pool6(struct qb_conf_value *v, void *dst);
int qb_conf_parse_match(struct qb_conf_value *v, void *dst);
int qb_conf_parse_class(struct qb_conf_value *v, void *dst);
int qb_conf_parse_policy_sched(struct qb_conf_value *v, void *dst);
int qb_conf_parse_ordered(struct qb_conf_value *v, void *dst);
int qb_conf_parse_duplicate(struct qb_conf_value *v, void *dst);
int qb_conf_parse_log_levels(struct qb_conf_value *v, void *dst);
int qb_conf_parse_fec(struct qb_conf_value *v, void *dst);
int qb_conf_parse_policy_fec(struct qb_conf_value *v, void *dst);
int qb_conf_parse_via(struct qb_conf_value *v, void *dst); /* struct qb_conf_via */
int qb_conf_parse_deadline(struct qb_conf_value *v, void *dst);
/* These fill several fields: dst is the whole struct that is named. */
int qb_conf_parse_hub_addrs(struct qb_conf_value *v, void *dst);     /* struct qb_conf_hub */
int qb_conf_parse_site_addrs(struct qb_conf_value *v, void *dst);    /* struct qb_conf_site */
int qb_conf_parse_failback(struct qb_conf_value *v, void *dst);	     /* uint64_t */
int qb_conf_parse_failover(struct qb_conf_value *v, void *dst);	     /* uint64_t */
int qb_conf_parse_hold(struct qb_conf_value *v, void *dst);	     /* uint64_t, 0 for auto */
int qb_conf_parse_reorder(struct qb_conf_value *v, void *dst);	     /* struct qb_conf */
int qb_conf_parse_accept(struct qb_conf_value *v, void *dst);	     /* struct qb_conf */
int qb_conf_parse_listen_addrs(struct qb_conf_value *v, void *dst);  /* struct qb_conf */
int qb_conf_parse_preferred(struct qb_conf_value *v, void *dst);     /* struct qb_conf */
int qb_conf_parse_listen_ifaces(struct qb_conf_value *v, void *dst); /* struct qb_conf */

/* qb_conf_is_name tells whether text can name a node, link, hub or site: letters, digits, "._-", at
 * most 63. */
bool qb_conf_is_name(const char *text);

/*
 * A section of the file as it was read: which, where, and in which line each of its keys was given
 * (0: not). idx is its place in the config's array of hubs, links or sites.
 */
struct qb_conf_seen {
	const struct qb_conf_section *section;
	uint32_t idx;
	int line;
	int key_line[QB_CONF_KEYS_MAX]; /* in the table's order of the section's keys */
};

struct qb_conf_where {
	const char *file;
	const struct qb_conf_seen *seen;
	uint32_t seen_cnt;
	int last_line;
	char *err; /* QB_CONF_ERR_LEN */
};

/* qb_conf_check holds the whole config against itself. Returns 0, or -EINVAL with the error in
 * w->err. */
int qb_conf_check(const struct qb_conf *c, const struct qb_conf_where *w) QB_MUST_CHECK;
/* qb_conf_seen_name is the NAME of a section's [Kind NAME], or "". */
const char *qb_conf_seen_name(const struct qb_conf *c, const struct qb_conf_seen *seen);
/* qb_conf_key_slot is a key's place in its section (index into key_line), or -1. */
int qb_conf_key_slot(const struct qb_conf_section *s, const char *key);
