/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The config file: strict INI to one read-only struct. Every key is a row of one table
 * (conf/keys.c); the parser,
 * `--help`, the manual page check and `quicbondctl check` read that table. Config is apart from
 * state: reload parses a new struct and swaps it whole.
 */
#pragma once

#include "base/addr.h"
#include "base/log.h"
#include "base/match.h"

enum {
	QB_CONF_NAME_LEN = 64,
	QB_CONF_PATH_LEN = 256,
	QB_CONF_SCHED_LEN = 4 + QB_CONF_PATH_LEN, /* a scheduler's name: "bpf:" and a file, too */
	QB_CONF_HUBS_MAX = 8,
	QB_CONF_HUB_ADDRS_MAX = 8,
	QB_CONF_LINKS_MAX = 8,
	QB_CONF_PREFIXES_MAX = 32,
	QB_CONF_BLOCKS_MAX = 16384,
	QB_CONF_LISTEN_MAX = 8,
	QB_CONF_SITES_MAX = 4096,
	QB_CONF_POLICIES_MAX = 32,
	QB_CONF_ERR_LEN = 512,
	QB_CONF_PUBKEY_LEN = 32,
};

enum qb_role { QB_ROLE_EDGE, QB_ROLE_HUB };
enum qb_bond_mode { QB_MODE_BOND, QB_MODE_FAILOVER, QB_MODE_SINGLE };

struct qb_conf_prefixes {
	struct qb_prefix p[QB_CONF_PREFIXES_MAX];
	uint32_t cnt;
};

/* The prefixes of a file, in order. */
struct qb_conf_blocks {
	struct qb_prefix *p; /* owned */
	uint32_t cnt;
};

struct qb_conf_hub {
	char name[QB_CONF_NAME_LEN];
	struct {
		char host[QB_CONF_PATH_LEN]; /* numeric or a name, without the port */
		uint16_t port;
	} addrs[QB_CONF_HUB_ADDRS_MAX];
	uint32_t addr_cnt;
	uint8_t public_key[QB_CONF_PUBKEY_LEN];
	char ca[QB_CONF_PATH_LEN];	    /* a file, or "system"; "": the key is what counts */
	char server_name[QB_CONF_PATH_LEN]; /* with ca */
	char crl[QB_CONF_PATH_LEN];	    /* with ca: a file; "": none */
	int line; /* of its section, for messages */
};

/* How AF_XDP is set up on an interface. */
struct qb_conf_xdp {
	bool is_busy_polled, has_wakeup;
	uint32_t ring_size; /* 0: auto */
};

struct qb_conf_link {
	char name[QB_CONF_NAME_LEN];
	char ifname[16];
	struct qb_addr source, gateway; /* family 0: auto */
	char io[16];			/* a name that qb_io_mode_parse knows */
	struct qb_conf_xdp xdp;
	char tier[16];			/* a name that qb_tier_parse knows */
	char congestion[16];		/* "bond", or as bond.congestion */
	uint64_t keepalive_ns;		/* 0: auto; UINT64_MAX: as seldom as its NATs allow */
	uint32_t init_window_pkts, min_window_pkts; /* 0: the bond's */
	uint64_t init_rtt_ns;			    /* 0: the bond's */
	uint64_t rate_up_bps, rate_down_bps;	    /* at most; 0: as much as it carries */
	uint32_t weight;			    /* 0: by its rate */
	uint32_t priority;			    /* the lowest first; 0: after those that have one */
	int line;
};

struct qb_conf_site {
	char name[QB_CONF_NAME_LEN];
	uint8_t public_key[QB_CONF_PUBKEY_LEN];
	struct qb_addr address4, address6; /* fixed addresses; family 0: from the pool by order */
	struct qb_conf_prefixes prefixes;
	int line;
};

struct qb_conf_policy {
	char name[QB_CONF_NAME_LEN];
	struct qb_match match;
	char class[16];	    /* a name that qb_class_parse knows */
	char scheduler[QB_CONF_SCHED_LEN]; /* "bond", or as bond.scheduler */
	char ordered[8];    /* "auto", "yes" or "no" */
	uint32_t copies;    /* of each packet in all; 0: auto */
	struct qb_fec_want fec;
	uint64_t deadline_ns; /* 0: auto */
	struct qb_conf_via {
		char links[QB_CONF_LINKS_MAX][QB_CONF_NAME_LEN];
		uint32_t cnt; /* 0: as the bond has it */
		bool is_direct; /* not by the tunnel at all */
	} via;
	int line;
};

struct qb_conf {
	enum qb_role role;
	char name[QB_CONF_NAME_LEN];
	char key_file[QB_CONF_PATH_LEN];
	uint32_t workers;	     /* 0: auto */
	uint32_t buffers;	     /* 0: auto */
	uint32_t umem_frames;	     /* 0: auto */
	uint32_t frame_bytes;
	char user[QB_CONF_NAME_LEN]; /* "": quicbond if it exists */

	struct {
		char device[16];
		uint32_t mtu_bytes; /* 0: auto */
		uint32_t table;	    /* 0: auto */
		bool has_default_route;
		bool is_direct_on_loss; /* OnHubLoss = direct */
		uint64_t rekey_ns;	/* 0: only by use */
		uint32_t rekey_pkts;	/* 0: by what the cipher allows */
		uint64_t hold_ns;	/* HoldTime; 0: auto */
		uint16_t pad_bytes;	/* Padding: 0 off, UINT16_MAX full */
		uint8_t spin_of_16;	/* SpinBit: on so many paths of 16 */
	} tunnel;

	struct qb_conf_hub hubs[QB_CONF_HUBS_MAX];
	uint32_t hub_cnt;
	bool is_links_auto;
	struct qb_conf_link links[QB_CONF_LINKS_MAX];
	uint32_t link_cnt;

	struct {
		char scheduler[QB_CONF_SCHED_LEN]; /* a name of the registry, or bpf:FILE */
		enum qb_bond_mode mode;
		char primary[QB_CONF_NAME_LEN]; /* a link, or "auto" */
		bool is_mesh_full; /* a path for each link to each of the hub's addresses */
		uint64_t failover_ns; /* how long a better link must be gone before one in reserve is opened; QB_NEVER_NS */
		char congestion[16]; /* "auto" or a name that qb_cc_find knows */
		uint64_t failback_ns; /* 0: at once; QB_NEVER_NS */
		struct qb_fail_want fail;
		enum qb_grain grain;
		bool has_tail_copies;
		bool is_reorder_off;
		uint64_t reorder_max_ns; /* 0: auto */
		uint64_t reorder_max_bytes; /* 0: auto */
		uint32_t init_window_pkts, min_window_pkts; /* 0: auto */
		uint64_t init_rtt_ns;			    /* 0: auto */
		uint32_t persistent_ptos;		    /* 0: auto */
		bool is_ecn_on;
		bool is_ack_freq_off;
		struct qb_fec_want fec;
	} bond;

	struct qb_conf_policy policies[QB_CONF_POLICIES_MAX];
	uint32_t policy_cnt;

	struct {
		struct qb_conf_prefixes advertise, accept;
		bool has_accept; /* key given: only these; else all that the peer advertises */
	} route;

	struct {
		struct qb_addr addrs[QB_CONF_LISTEN_MAX];
		uint32_t addr_cnt;
		struct qb_addr preferred4, preferred6; /* PreferredAddress; family 0: none */
		char ifnames[QB_CONF_LISTEN_MAX][16]; /* Interface; none: all */
		uint32_t if_cnt;
		char io[16];
		struct qb_conf_xdp xdp;
		char retry[8]; /* auto, always or off */
		uint32_t source_limit, stranger_limit; /* Initials a second; 0: auto */
		char block_file[QB_CONF_PATH_LEN]; /* "": none */
		struct qb_conf_blocks blocks;	   /* what is in it */
		char cert_file[QB_CONF_PATH_LEN], cert_key_file[QB_CONF_PATH_LEN]; /* "": none */
	} listen;

	struct {
		struct qb_prefix v4, v6; /* family 0: none */
	} pool;

	struct qb_conf_site *sites; /* owned */
	uint32_t site_cnt;

	struct {
		char socket[QB_CONF_PATH_LEN];
		char group[QB_CONF_NAME_LEN];
	} control;

	struct {
		struct qb_addr listen; /* family 0: off */
	} metrics;

	struct {
		struct qb_log_levels levels;
		char qlog[QB_CONF_PATH_LEN];	/* folder for traces; "": off */
		char key_log[QB_CONF_PATH_LEN]; /* file; "": off */
	} log;
};

/*
 * qb_conf_parse_blocks reads a block file's text (out->p: free with free). Returns 0, or -EINVAL with FILE:LINE and why in err.
 */
int qb_conf_parse_blocks(const char *file, const char *text, size_t len, struct qb_conf_blocks *out,
			 char err[QB_CONF_ERR_LEN]) QB_MUST_CHECK;
/* qb_conf_parse_duration reads a time with its unit, like 2min. Returns 0, -EINVAL or -ERANGE. */
int qb_conf_parse_duration(const char *text, uint64_t *out_ns) QB_MUST_CHECK;

/* Names that other folders know; conf cannot see them, so the caller hands them in
 * (NULL-terminated). */
struct qb_conf_names {
	const char *const *schedulers;
	const char *const *congestions;
};

/*
 * qb_conf_load reads and checks a file. Returns the config, or NULL with "FILE:LINE: what is wrong;
 * what is allowed" in err.
 */
struct qb_conf *qb_conf_load(const char *path, const struct qb_conf_names *names,
			     char err[QB_CONF_ERR_LEN]);
void qb_conf_free(struct qb_conf *c);
/* qb_conf_link_init makes a link of which nothing is configured. */
void qb_conf_link_init(struct qb_conf_link *l);
bool qb_conf_xdp_eq(const struct qb_conf_xdp *a, const struct qb_conf_xdp *b);
/* qb_conf_buffers and qb_conf_umem: Buffers and Umem, also where they are auto. */
uint32_t qb_conf_buffers(const struct qb_conf *c);
uint32_t qb_conf_umem(const struct qb_conf *c);
/* qb_conf_marks lists the different firewall marks by which policies match packets in the tunnel. Returns how many there are, which
 * is more than it lists where the config is to be refused. */
uint32_t qb_conf_marks(const struct qb_conf *c, struct qb_match_mark out[QB_MATCH_ALL_MARKS_MAX]);

/* A setting that may change while the daemon runs: Bond.KEY, Policy.NAME.KEY, Link.NAME.KEY. */
struct qb_conf_setting {
	const struct qb_conf_key *key;
	const char *section;
	uint8_t roles; /* that have it, 1 << role each */
	char name[QB_CONF_NAME_LEN]; /* "" where the section has none */
};

/* qb_conf_setting_find reads which. -ENOENT: none that may. */
int qb_conf_setting_find(const char *text, struct qb_conf_setting *s) QB_MUST_CHECK;
/*
 * qb_conf_setting_store reads a value as the file's is read. base: the whole config, the policy or the link. Returns 0, or
 * -EINVAL with why in err, and base as it was.
 */
int qb_conf_setting_store(const struct qb_conf_setting *s, void *base, const char *text,
			  const struct qb_conf_names *names, char err[QB_CONF_ERR_LEN]) QB_MUST_CHECK;
/* qb_conf_setting_key: its name, without its section. */
const char *qb_conf_setting_key(const struct qb_conf_setting *s);
/* qb_conf_live_keys writes the list of those that may: "Bond.Congestion, Fec; Policy.NAME.Class". */
void qb_conf_live_keys(char *out, size_t len);
const char *qb_role_name(enum qb_role r);
const char *qb_bond_mode_name(enum qb_bond_mode m);
const char *qb_grain_name(enum qb_grain g);
