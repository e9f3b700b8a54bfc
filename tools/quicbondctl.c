/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbondctl: what a person or a script says to quicbondd, and the few things that need no daemon
 * (keys, checking a config). Verbs are rows of one table, from which --help is made. Exit: 0 fine,
 * 1 error, 2 degraded.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bond/bond.h"
#include "cc/cc.h"
#include "conf/conf.h"
#include "ctl/ctl.h"
#include "tls/tls.h"
#include "tools/ctl_bond.h"
#include "tools/ctl_client.h"
#include "tools/ctl_explain.h"
#include "tools/ctl_render.h"
#include "tools/ctl_top.h"
#include "tools/ctl_tun.h"

enum { PEM_MAX_BYTES = 16384, NAMES_MAX = 64 };

struct opts {
	const char *socket;
	const char *report; /* doctor's file; NULL: none */
	const char *site;
	bool is_json;
	struct ctl_style style;
};

struct verb {
	const char *name, *args;
	int arg_min, arg_max;
	const char *help;
	int (*run)(const struct opts *o, char **args);
};

/* fail tells the user, as JSON when that was asked for. Returns the exit code. */
static int QB_PRINTF(2, 3) fail(const struct opts *o, const char *fmt, ...)
{
	char text[QB_CONF_ERR_LEN];
	va_list ap;
	json_t *j;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!o->is_json) {
		fprintf(stderr, "quicbondctl: %s\n", text);
		return CTL_EXIT_ERROR;
	}
	j = json_pack("{s:i, s:s}", "schema", 1, "error", text);
	if (!j)
		j = json_pack("{s:i, s:s}", "schema", 1, "error", "not UTF-8");
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
	return CTL_EXIT_ERROR;
}

/* print_json takes the object. */
static void print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(j);
}

/* ---- with the daemon ---- */

/* ask sends one request and returns the answer, or NULL once the user has been told. */
static json_t *ask(const struct opts *o, json_t *request)
{
	char err[CTL_ERR_LEN];
	struct ctl_client c;
	json_t *answer;
	const char *said;

	if (ctl_connect(&c, o->socket, err)) {
		json_decref(request);
		fail(o, "%s", err);
		return NULL;
	}
	answer = ctl_ask(&c, request, err);
	ctl_disconnect(&c);
	if (!answer) {
		fail(o, "%s", err);
		return NULL;
	}
	said = json_string_value(json_object_get(answer, "error"));
	if (!said)
		return answer;
	fail(o, "%s", said);
	json_decref(answer);
	return NULL;
}

/* show asks for something and draws it. */
static int show(const struct opts *o, const char *cmd,
		void (*render)(const struct ctl_style *st, const json_t *answer),
		int (*exit_code)(const json_t *answer))
{
	json_t *answer = ask(o, json_pack("{s:s}", "cmd", cmd));
	int rc;

	if (!answer)
		return CTL_EXIT_ERROR;
	rc = exit_code ? exit_code(answer) : CTL_EXIT_FINE;
	if (o->is_json) {
		print_json(answer);
	} else {
		render(&o->style, answer);
		json_decref(answer);
	}
	return rc;
}

static int run_status(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "status", ctl_render_status, ctl_status_exit);
}

static int run_links(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "links", ctl_render_links, NULL);
}

static int run_sites(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "sites", ctl_render_sites, NULL);
}

static int run_flows(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "flows", ctl_render_flows, NULL);
}

static int run_counters(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "counters", ctl_render_counters, NULL);
}

static int run_io(const struct opts *o, char **args)
{
	if (args[0] && strcmp(args[0], "stats") != 0)
		return fail(o, "io cannot \"%s\"; allowed: stats", args[0]);
	return show(o, "io", ctl_render_io, NULL);
}

/* explain [link] NAME */
static int run_explain(const struct opts *o, char **args)
{
	const char *name = args[1] ? args[1] : args[0];
	json_t *answer, *said;

	if (args[1] && strcmp(args[0], "link") != 0 && strcmp(args[0], "path") != 0)
		return fail(o, "explain what? allowed: explain link NAME");
	answer = ask(o, json_pack("{s:s}", "cmd", "links"));
	if (!answer)
		return CTL_EXIT_ERROR;
	said = ctl_explain(answer, name);
	json_decref(answer);
	if (!said)
		return fail(o, "no link is called \"%.64s\"; see quicbondctl links, and on a hub write SITE/LINK", name);
	if (o->is_json) {
		print_json(said);
		return CTL_EXIT_FINE;
	}
	ctl_render_lines(&o->style, said);
	json_decref(said);
	return CTL_EXIT_FINE;
}

/* write_report saves the findings and what they rest on. Addresses are in it: nobody else may read it. */
static int write_report(const struct opts *o, const json_t *findings)
{
	static const char *const parts[] = {"status", "io"};
	json_t *report = json_deep_copy(findings);
	int fd, rc = CTL_EXIT_FINE;

	for (size_t i = 0; report && i < QB_ARRAY_LEN(parts); i++) {
		json_t *part = ask(o, json_pack("{s:s}", "cmd", parts[i]));

		if (!part || json_object_set_new(report, parts[i], part))
			rc = CTL_EXIT_ERROR;
	}
	if (rc == CTL_EXIT_FINE) {
		fd = open(o->report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || json_dumpfd(report, fd, JSON_INDENT(1)) || fsync(fd))
			rc = fail(o, "%s: %s", o->report, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	json_decref(report);
	return rc;
}

static int run_doctor(const struct opts *o, char **args)
{
	json_t *answer = ask(o, json_pack("{s:s}", "cmd", "doctor"));
	int rc;

	(void)args;
	if (!answer)
		return CTL_EXIT_ERROR;
	rc = ctl_findings_exit(answer);
	if (o->report && write_report(o, answer))
		rc = CTL_EXIT_ERROR;
	if (o->is_json) {
		print_json(answer);
	} else {
		ctl_render_findings(&o->style, answer);
		json_decref(answer);
	}
	return rc;
}

/* show_bond shows the bond as a whole, or (part not NULL) what is called so of it. */
static int show_bond(const struct opts *o, const char *part)
{
	json_t *answer = ask(o, json_pack("{s:s}", "cmd", "status")), *bond;

	if (!answer)
		return CTL_EXIT_ERROR;
	bond = part ? ctl_bond_part(answer, part) : ctl_bond(answer);
	json_decref(answer);
	if (o->is_json) {
		print_json(bond);
		return CTL_EXIT_FINE;
	}
	if (part)
		ctl_render_bond_part(&o->style, bond);
	else
		ctl_render_bond(&o->style, bond);
	json_decref(bond);
	return CTL_EXIT_FINE;
}

static int run_fec(const struct opts *o, char **args)
{
	if (args[0] && strcmp(args[0], "stats") != 0)
		return fail(o, "fec cannot \"%s\"; allowed: stats", args[0]);
	return show_bond(o, "fec");
}

static int run_errors(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "errors", ctl_render_errors, NULL);
}

static int run_conns(const struct opts *o, char **args)
{
	(void)args;
	return show(o, "conns", ctl_render_conns, NULL);
}

/* order sends a request that is answered by yes or no. */
static int order(const struct opts *o, json_t *request)
{
	json_t *answer = ask(o, request);

	if (!answer)
		return CTL_EXIT_ERROR;
	if (o->is_json)
		print_json(answer);
	else
		json_decref(answer);
	return CTL_EXIT_FINE;
}

/* set_one changes a setting that is given as KEY=VALUE, of the section. */
static int set_one(const struct opts *o, const char *section, const char *setting)
{
	const char *value = strchr(setting, '=');
	char key[128];
	int n;

	if (!value || value == setting)
		return fail(o, "\"%s\" is not KEY=VALUE", setting);
	n = snprintf(key, sizeof(key), "%s.%.*s", section, (int)(value - setting), setting);
	if (n < 0 || (size_t)n >= sizeof(key))
		return fail(o, "\"%s\": there is no such setting", setting);
	return order(o, json_pack("{s:s, s:s, s:s}", "cmd", "set", "key", key, "value", value + 1));
}

/* bond, bond set KEY=VALUE */
static int run_bond(const struct opts *o, char **args)
{
	if (args[0] && args[1] && strcmp(args[0], "set") == 0)
		return set_one(o, "Bond", args[1]);
	if (args[0] && (args[1] || strcmp(args[0], "show") != 0))
		return fail(o, "bond cannot \"%s%s%s\"; allowed: show, set KEY=VALUE", args[0], args[1] ? " " : "", args[1] ? args[1] : "");
	return show_bond(o, NULL);
}

/* link NAME VERB, link set NAME KEY=VALUE */
static int run_link(const struct opts *o, char **args)
{
	static const char *const verbs[] = {"up", "down", "drain"};
	bool is_known = false;
	enum qb_tier tier;
	char section[96];

	if (args[2]) {
		if (strcmp(args[0], "set") != 0)
			return fail(o, "usage: quicbondctl link NAME VERB, or link set NAME KEY=VALUE");
		if (strncmp(args[2], "tier=", 5) != 0) {
			snprintf(section, sizeof(section), "Link.%.80s", args[1]);
			return set_one(o, section, args[2]);
		}
		args++;
	}
	for (size_t i = 0; i < QB_ARRAY_LEN(verbs); i++)
		is_known |= strcmp(args[1], verbs[i]) == 0;
	if (strncmp(args[1], "tier=", 5) == 0)
		is_known = qb_tier_parse(args[1] + 5, &tier) == 0;
	if (!is_known)
		return fail(o,
			    "a link cannot \"%s\"; allowed: up, down, drain, tier=primary, "
			    "tier=secondary, tier=backup, tier=never",
			    args[1]);
	return order(o,
		     json_pack("{s:s, s:s, s:s}", "cmd", "link", "name", args[0], "verb", args[1]));
}

static int run_set(const struct opts *o, char **args)
{
	return order(o,
		     json_pack("{s:s, s:s, s:s}", "cmd", "set", "key", args[0], "value", args[1]));
}

/* sched, sched explain, sched set NAME */
static int run_sched(const struct opts *o, char **args)
{
	if (!args[0] || strcmp(args[0], "show") == 0)
		return show(o, "sched", ctl_render_sched, NULL);
	if (strcmp(args[0], "explain") == 0 && !args[1])
		return show(o, "sched", ctl_render_decisions, NULL);
	if (strcmp(args[0], "set") == 0 && args[1])
		return order(o, json_pack("{s:s, s:s, s:s}", "cmd", "set", "key", "Bond.Scheduler", "value", args[1]));
	return fail(o, "sched cannot \"%s%s%s\"; allowed: show, explain, set NAME", args[0], args[1] ? " " : "", args[1] ? args[1] : "");
}

static int run_tun(const struct opts *o, char **args)
{
	if (args[0] && strcmp(args[0], "show") != 0)
		return fail(o, "tun cannot \"%s\"; allowed: show", args[0]);
	return show(o, "tun", ctl_render_tun, NULL);
}

static int run_failover(const struct opts *o, char **args)
{
	if (strcmp(args[0], "stats") == 0)
		return show_bond(o, "failover");
	if (strcmp(args[0], "now") != 0 && strcmp(args[0], "back") != 0)
		return fail(o, "failover cannot \"%s\"; allowed: now, back, stats", args[0]);
	return order(o, json_pack("{s:s, s:s}", "cmd", "failover", "verb", args[0]));
}

/* known, known forget [LINK or KEY] */
static int run_known(const struct opts *o, char **args)
{
	json_t *answer;

	if (!args[0] || (strcmp(args[0], "show") == 0 && !args[1]))
		return show(o, "known", ctl_render_known, NULL);
	if (strcmp(args[0], "forget") != 0)
		return fail(o, "known cannot \"%s\"; allowed: show, forget [LINK]", args[0]);
	answer = ask(o, json_pack("{s:s, s:s, s:s*}", "cmd", "known", "verb", "forget", "name", args[1]));
	if (!answer)
		return CTL_EXIT_ERROR;
	if (o->is_json) {
		print_json(answer);
		return CTL_EXIT_FINE;
	}
	printf("forgotten: %" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(answer, "forgotten")));
	json_decref(answer);
	return CTL_EXIT_FINE;
}

static int list_blocks(const struct opts *o)
{
	json_t *answer = ask(o, json_pack("{s:s, s:s}", "cmd", "block", "verb", "list"));

	if (!answer)
		return CTL_EXIT_ERROR;
	if (o->is_json) {
		print_json(answer);
		return CTL_EXIT_FINE;
	}
	ctl_render_blocks(&o->style, answer);
	json_decref(answer);
	return CTL_EXIT_FINE;
}

static int run_block(const struct opts *o, char **args)
{
	struct qb_prefix p;

	if (strcmp(args[0], "list") == 0 && args[1] == NULL)
		return list_blocks(o);
	if (strcmp(args[0], "add") != 0 && strcmp(args[0], "del") != 0)
		return fail(o, "block cannot \"%s\"; allowed: add PREFIX [TIME], del PREFIX, list", args[0]);
	if (args[1] == NULL || qb_prefix_parse(args[1], &p))
		return fail(o, "block %s wants a prefix like 192.0.2.0/24 or 2001:db8::/32", args[0]);
	return order(o, json_pack("{s:s, s:s, s:s, s:s*}", "cmd", "block", "verb", args[0], "prefix", args[1], "for", args[2]));
}

static int run_qlog(const struct opts *o, char **args)
{
	bool is_start = strcmp(args[0], "start") == 0;
	json_t *req, *answer;

	if (!is_start && strcmp(args[0], "stop") != 0 && strcmp(args[0], "status") != 0)
		return fail(o, "qlog cannot \"%s\"; allowed: start [FOLDER] [--site SITE], stop, status", args[0]);
	if (!is_start && (args[1] || o->site))
		return fail(o, "qlog %s takes neither a folder nor a site", args[0]);
	req = json_pack("{s:s, s:s, s:s*, s:s*}", "cmd", "qlog", "verb", args[0], "folder", args[1], "site",
			o->site);
	answer = req ? ask(o, req) : NULL;
	if (!answer)
		return req ? CTL_EXIT_ERROR : fail(o, "a name is not UTF-8");
	if (o->is_json) {
		print_json(answer);
		return CTL_EXIT_FINE;
	}
	ctl_render_qlog(&o->style, answer);
	json_decref(answer);
	return CTL_EXIT_FINE;
}

static int run_reload(const struct opts *o, char **args)
{
	(void)args;
	return order(o, json_pack("{s:s}", "cmd", "reload"));
}

/* top [SECONDS [TIMES]] */
static int run_top(const struct opts *o, char **args)
{
	double every_s = 1;
	unsigned long times = 0;
	char *end;

	if (o->is_json)
		return fail(o, "top is for people; status has it as JSON");
	if (args[0]) {
		every_s = strtod(args[0], &end);
		if (*end || end == args[0] || !(every_s >= 0.1 && every_s <= 3600))
			return fail(o, "\"%.32s\" is no time between two looks; give seconds, 0.1 to 3600", args[0]);
	}
	if (args[0] && args[1]) {
		times = strtoul(args[1], &end, 10);
		if (*end || end == args[1] || times == 0 || times > 1000000 || args[1][0] == '-')
			return fail(o, "\"%.32s\" is no number of times; give 1 to 1000000", args[1]);
	}
	return ctl_top(o->socket, &o->style, every_s, (unsigned int)times);
}

static int run_monitor(const struct opts *o, char **args)
{
	char err[CTL_ERR_LEN];
	struct ctl_client c;
	const char *line, *said;
	json_t *answer;

	(void)args;
	if (ctl_connect(&c, o->socket, err))
		return fail(o, "%s", err);
	answer = ctl_ask(&c, json_pack("{s:s}", "cmd", "monitor"), err);
	said = json_string_value(json_object_get(answer, "error"));
	if (!answer || said) {
		fail(o, "%s", answer ? said : err);
	} else {
		ctl_wait_forever(&c);
		while ((line = ctl_read_line(&c, err)) != NULL)
			if (puts(line) < 0 || fflush(stdout))
				break;
		/* Whoever read the events has gone: that is how a pipe ends. */
		if (line) {
			json_decref(answer);
			ctl_disconnect(&c);
			return CTL_EXIT_FINE;
		}
		fail(o, "%s", err);
	}
	json_decref(answer);
	ctl_disconnect(&c);
	return CTL_EXIT_ERROR;
}

/* ---- without the daemon ---- */

static int run_genkey(const struct opts *o, char **args)
{
	char pem[1024];
	struct stat st;

	(void)args;
	if (qb_key_generate(pem, sizeof(pem)))
		return fail(o, "no key could be made");
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		fprintf(stderr,
			"quicbondctl: warning: others may read the file; umask 077 first\n");
	if (o->is_json)
		print_json(json_pack("{s:i, s:s}", "schema", 1, "private_key", pem));
	else
		fputs(pem, stdout);
	return CTL_EXIT_FINE;
}

static int run_pubkey(const struct opts *o, char **args)
{
	char pem[PEM_MAX_BYTES], err[QB_TLS_ERR_LEN], text[QB_PUBKEY_TEXT_LEN];
	uint8_t pub[QB_PUBKEY_LEN];
	size_t n = fread(pem, 1, sizeof(pem) - 1, stdin);

	(void)args;
	pem[n] = '\0';
	if (ferror(stdin) || !feof(stdin) || n == 0)
		return fail(o, "stdin is not a private key in PEM");
	if (qb_key_public(pem, pub, err))
		return fail(o, "stdin is not a private key: %s", err);
	qb_pubkey_format(pub, text);
	if (o->is_json)
		print_json(json_pack("{s:i, s:s}", "schema", 1, "public_key", text));
	else
		puts(text);
	return CTL_EXIT_FINE;
}

static int run_check(const struct opts *o, char **args)
{
	const char *scheds[NAMES_MAX] = {NULL}, *ccs[NAMES_MAX] = {NULL};
	struct qb_conf_names names = {.schedulers = scheds, .congestions = ccs};
	char err[QB_CONF_ERR_LEN];
	struct qb_conf *c;
	size_t cnt = 0;

	for (size_t i = 0; cnt < NAMES_MAX - 1 && qb_sched_list[i]; i++)
		scheds[cnt++] = qb_sched_list[i]->name;
	for (size_t i = 0; cnt < NAMES_MAX - 1 && qb_sched_forms[i]; i++)
		scheds[cnt++] = qb_sched_forms[i];
	for (size_t i = 0; i < NAMES_MAX - 1 && qb_cc_list[i]; i++)
		ccs[i] = qb_cc_list[i]->name;
	c = qb_conf_load(args[0], &names, err);
	if (!c) {
		/* The error is FILE:LINE: first, as compilers have it: editors jump to it. */
		if (o->is_json)
			return fail(o, "%s", err);
		fprintf(stderr, "%s\n", err);
		return CTL_EXIT_ERROR;
	}
	if (o->is_json)
		print_json(json_pack("{s:i, s:b, s:s, s:s}", "schema", 1, "ok", 1, "role",
				     qb_role_name(c->role), "name", c->name));
	else
		printf("%s: fine: %s %s\n", args[0], qb_role_name(c->role), c->name);
	qb_conf_free(c);
	return CTL_EXIT_FINE;
}

/* ---- main ---- */

/* clang-format off */
static const struct verb verbs[] = {
	{ "status",   "",           0, 0, "role, state, tunnel, links or sites, totals", run_status },
	{ "bond",     "[set K=V]",  0, 2, "the bond as a whole: links by state, failovers, reordering, repair, FEC; set scheduler=ecf and the like", run_bond },
	{ "links",    "",           0, 0, "every link, in detail", run_links },
	{ "sites",    "",           0, 0, "a hub's sites", run_sites },
	{ "flows",    "",           0, 0, "the heaviest flows: class, rate, links, waiting, drops", run_flows },
	{ "conns",    "",           0, 0, "QUIC connections: state, version, cipher, paths, streams", run_conns },
	{ "known",    "[forget [LINK]]", 0, 2, "what links could carry at an earlier time, for a quick start; forget: no more", run_known },
	{ "explain",  "[link] NAME", 1, 2, "why a link carries what it carries, in sentences", run_explain },
	{ "sched",    "[VERB [NAME]]", 0, 2, "schedulers: show, set NAME; explain: the last decisions and why", run_sched },
	{ "tun",      "[show]",     0, 1, "the TUN device: MTU, addresses, routes, offloads, queues, packets and drops", run_tun },
	{ "counters", "",           0, 0, "every counter, and where packets were dropped", run_counters },
	{ "io",       "[stats]",    0, 1, "packet I/O: how, why, rings, buffers and drops", run_io },
	{ "errors",   "",           0, 0, "the last errors: when, whose connection, what", run_errors },
	{ "doctor",   "",           0, 0, "what is wrong with host and links, and what mends it; --report FILE keeps it all", run_doctor },
	{ "top",      "[SECONDS [TIMES]]", 0, 2, "status, congestion control and flows, drawn anew each second; q ends it", run_top },
	{ "monitor",  "",           0, 0, "events as they happen, as JSON lines", run_monitor },
	{ "link",     "NAME VERB",  2, 3, "change a link: up, down, drain, tier=T; set NAME weight=300 and the like", run_link },
	{ "failover", "VERB",       1, 1, "now: links in reserve take over; back: those before them serve again; stats: how often, and the gaps", run_failover },
	{ "fec",      "[stats]",    0, 1, "forward error correction: blocks, repair symbols, packets made of them", run_fec },
	{ "set",      "KEY VALUE",  2, 2, "change a setting, like Bond.Scheduler auto", run_set },
	{ "block",    "VERB [PREFIX]", 1, 3, "a hub's block list: add PREFIX [TIME], del PREFIX, list", run_block },
	{ "qlog",     "VERB [FOLDER]", 1, 2, "trace connections: start [FOLDER] [--site S], stop, status", run_qlog },
	{ "reload",   "",           0, 0, "read the config file again", run_reload },
	{ "check",    "FILE",       1, 1, "check a config file", run_check },
	{ "genkey",   "",           0, 0, "print a new private key", run_genkey },
	{ "pubkey",   "",           0, 0, "print the public key of the private key on stdin", run_pubkey },
};
/* clang-format on */

static void usage(FILE *f)
{
	fprintf(f, "usage: quicbondctl [-s SOCKET] [-j] COMMAND\n\ncommands:\n");
	for (size_t i = 0; i < QB_ARRAY_LEN(verbs); i++)
		fprintf(f, "  %-8s %-18s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
	fprintf(f,
		"\noptions:\n"
		"  -s, --socket SOCKET  the control socket (%s)\n"
		"  -j, --json           print JSON\n"
		"      --report FILE    with doctor: write what it knows to FILE\n"
		"      --site SITE      only this site's connections (qlog start)\n"
		"  -V, --version        print the version\n"
		"  -h, --help           print this\n"
		"\nexit: 0 fine, 1 error, 2 degraded\n",
		QB_CTL_SOCKET_DEFAULT);
}

static int run(const struct opts *o, int argc, char **argv)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(verbs); i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(v->name, argv[0]) != 0)
			continue;
		if (argc - 1 < v->arg_min || argc - 1 > v->arg_max)
			return fail(o, "usage: quicbondctl %s%s%s: %s", v->name, *v->args ? " " : "", v->args, v->help);
		if (o->report && v->run != run_doctor)
			return fail(o, "--report goes with doctor only");
		if (o->site && v->run != run_qlog)
			return fail(o, "--site goes with qlog start only");
		return v->run(o, argv + 1);
	}
	return fail(o, "there is no command \"%s\"; see quicbondctl --help", argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"report", required_argument, NULL, 'r'},
		{"site", required_argument, NULL, 'S'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool is_tty = isatty(STDOUT_FILENO) == 1;
	struct opts o = {.socket = QB_CTL_SOCKET_DEFAULT, .style = {.out = stdout}};
	int opt, rc;

	o.style.has_units = is_tty;
	o.style.has_colour = is_tty && !getenv("NO_COLOR");
	while ((opt = getopt_long(argc, argv, "s:jVh", longs, NULL)) != -1) {
		switch (opt) {
		case 'r':
			o.report = optarg;
			break;
		case 's':
			o.socket = optarg;
			break;
		case 'S':
			o.site = optarg;
			break;
		case 'j':
			o.is_json = true;
			break;
		case 'V':
			puts("quicbondctl " QB_VERSION);
			return CTL_EXIT_FINE;
		case 'h':
			usage(stdout);
			return CTL_EXIT_FINE;
		default:
			usage(stderr);
			return CTL_EXIT_ERROR;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return CTL_EXIT_ERROR;
	}
	rc = run(&o, argc - optind, argv + optind);
	if (fflush(stdout) || ferror(stdout))
		return CTL_EXIT_ERROR;
	return rc;
}
