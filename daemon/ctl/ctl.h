/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: a UNIX stream socket that speaks one JSON object a line, a request {"cmd":
 * "...", …} and an answer. Main thread only, never blocks on a client. The daemon answers through a
 * small table of verbs.
 */
#pragma once

#include "ctl/status.h"

/*
 * qb_status_score is one number for a link's quality, for alarms and graphs: nothing decides by it. 400 for a round trip of up
 * to 20 ms, none from 1 s on; 400 without loss, none from 10 % on; 200 for 100 Mbit/s and more, none for 100 kbit/s; between them
 * by the logarithm, loss straight.
 */
uint32_t qb_status_score(double rtt_ms, double loss, double rate_bps);
/*
 * qb_status_link_counts tells of a link that has been in this state for so long whether it is one of those that serve: active, in
 * reserve, or suspect. Suspicion is gone after some milliseconds, or has become certainty soon; whoever reads of the bond's state
 * is spared it for a second.
 */
bool qb_status_link_counts(const char *state, double age_s);
/*
 * qb_status_bond_state is an edge's state as a whole, by its hub's (NULL: nothing yet), by how many links serve, and how many are
 * to serve: down, connecting, single, bonded, degraded.
 */
const char *qb_status_bond_state(const char *hub_state, uint32_t up_cnt, uint32_t wanted_cnt);

#define QB_CTL_SOCKET_DEFAULT "/run/quicbond/quicbondd.sock"

struct qb_ctl;

enum {
	QB_CTL_ERRORS = 256,
	QB_CTL_ERR_LEN = 768, /* why something was refused, with all that is allowed */
};

/* One of the last errors. */
struct qb_ctl_error {
	double time_s; /* UNIX time, of the last one */
	uint32_t cnt;  /* so many in a row */
	char name[QB_STATUS_NAME_LEN]; /* site or hub; "": not known */
	char peer[QB_ADDR_STRLEN], cid[41];
	bool has_path;
	uint32_t path_id;
	char error[64]; /* its name, or the level of a log line */
	char text[192];
};

enum { QB_CTL_CONNS = 1024 };

/* A QUIC connection. */
struct qb_ctl_conn {
	uint16_t worker;
	char name[QB_STATUS_NAME_LEN]; /* site or hub; "": not known */
	const char *use;	       /* "tunnel", "opening", "tickets", "" */
	const char *state;
	char peer[QB_ADDR_STRLEN], cid[41];
	uint8_t version;
	const char *cipher; /* "" before the handshake is over */
	bool is_resumed, is_early, is_multipath;
	uint32_t paths, streams, datagram_bytes;
	uint64_t credit_bytes, window_bytes, key_updates, tx_bytes, rx_bytes;
	double age_s, silent_s;
};

struct qb_ctl_conns {
	uint32_t total; /* also those that found no room in the list */
	struct qb_ctl_conn list[QB_CTL_CONNS];
};

enum { QB_CTL_KNOWN = 2048 };

/* What is known of a link from an earlier time. */
struct qb_ctl_known_link {
	uint64_t key;
	char name[2 * QB_STATUS_NAME_LEN]; /* of the link that it is known of; "": none that is up */
	uint64_t window_bytes, rate_bps;
	double rtt_ms, age_s;
};

struct qb_ctl_known {
	double life_s; /* what is older is not used */
	uint32_t cnt;
	struct qb_ctl_known_link list[QB_CTL_KNOWN];
};

/* A prefix that is blocked. */
struct qb_ctl_block {
	struct qb_prefix prefix;
	bool by_file, by_command;
	double left_s; /* by command; 0: for good */
};

/* What `qlog` tells. */
struct qb_ctl_qlog {
	bool is_on;
	char folder[256], site[QB_STATUS_NAME_LEN], key_log[256];
	char problem[256]; /* what the disk said last */
	uint32_t traces;   /* connections traced now */
	uint64_t events, bytes, dropped;
};

/* What the daemon can be asked. Each returns 0, or -errno with why in err (QB_CTL_ERR_LEN). */
struct qb_ctl_verbs {
	/* fills st; what it points to stays valid until status_done or the next call */
	int (*status)(void *arg, struct qb_status *st, char *err);
	/* ... whose list of sites is given back by this (may be NULL) when it has been shown. */
	void (*status_done)(void *arg, struct qb_status *st);
	int (*reload)(void *arg, char *err);
	/* link NAME up|down|drain, tier=T */
	int (*link)(void *arg, const char *name, const char *verb, char *err);
	int (*set)(void *arg, const char *key, const char *value, char *err);
	/* failover now|back */
	int (*failover)(void *arg, const char *verb, char *err);
	/* block add|del PREFIX, life: for how long (NULL: for good), and the list: *cnt is what fits out, then what is there */
	int (*block)(void *arg, const char *verb, const char *prefix, const char *life, char *err);
	int (*blocks)(void *arg, struct qb_ctl_block *out, uint32_t *cnt, char *err);
	/* fills st, which is zero */
	int (*io)(void *arg, struct qb_io_status *st, char *err);
	/* fills f, which is zero */
	int (*flows)(void *arg, struct qb_flows *f, char *err);
	int (*doctor)(void *arg, struct qb_findings *f, char *err);
	/* qlog start [FOLDER] [SITE], stop, status; both may be NULL. *out: how it is then */
	int (*qlog)(void *arg, const char *verb, const char *folder, const char *site,
		    struct qb_ctl_qlog *out, char *err);
	/* the last errors, the oldest first; *cnt is what fits out, then what is there */
	int (*errors)(void *arg, struct qb_ctl_error *out, uint32_t *cnt, char *err);
	/* fills out, which is zero */
	int (*conns)(void *arg, struct qb_ctl_conns *out, char *err);
	/* fills out, which is zero */
	int (*known)(void *arg, struct qb_ctl_known *out, char *err);
	/* known forget: by a link's name or a key in hexadecimal; NULL: everything. *cnt: entries */
	int (*forget)(void *arg, const char *name, uint32_t *cnt, char *err);
	/* fills t, which is zero */
	int (*tun)(void *arg, struct qb_tun_status *t, char *err);
	/* fills s, which is zero */
	int (*sched)(void *arg, struct qb_sched_status *s, char *err);
};

/*
 * qb_ctl_open binds the socket (0660, group; an old one that nobody listens on is replaced).
 * Returns 0 or -errno with why in err (QB_CTL_ERR_LEN).
 */
int qb_ctl_open(const char *path, const char *group, const struct qb_ctl_verbs *verbs, void *arg,
		struct qb_ctl **out, char *err) QB_MUST_CHECK;
void qb_ctl_close(struct qb_ctl *c);
/* qb_ctl_fd is an epoll descriptor that covers the socket and its clients; qb_ctl_process serves
 * what is ready. */
int qb_ctl_fd(const struct qb_ctl *c);
void qb_ctl_process(struct qb_ctl *c);

/* An event for `monitor`: sent to every subscriber, dropped for one that does not read. Fields may
 * be NULL. */
struct qb_ctl_event {
	const char *type; /* "link_state", "hub_state", "site", … */
	const char *name; /* link, site or hub */
	const char *link, *peer_name; /* of a site: which of its links, and what its edge calls that */
	const char *from, *to, *reason;
	double time_s; /* UNIX time */
};
void qb_ctl_emit(struct qb_ctl *c, const struct qb_ctl_event *ev);
